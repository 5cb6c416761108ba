# SPDX-License-Identifier: MIT
#
# Each target sets up what is missing (tools/setup.sh) and then does its work; nothing else is needed first.

DATAPLANE ?= tc
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
SESSIONS ?= lint typecheck unit property fuzz kernel e2e docs

.PHONY: help demo test install uninstall venv lock clean

help:
	@echo 'make demo   see a port open to the one who knocks, and to nobody else   (root; DATAPLANE=xdp)'
	@echo 'make test   check everything: $(SESSIONS)'
	@echo 'make install  put program, man pages and spale.service in place   (root; PREFIX=$(PREFIX), DESTDIR)'
	@echo 'make uninstall  remove them; configuration, keys and state stay'
	@echo 'make venv   only set up, so that .venv/bin/spale and .venv/bin/nox run'
	@echo 'make lock   pin the newest packages that requirements/*.in allow'
	@echo 'make clean  remove what the others made'

demo:
	@test "$$(id -u)" = 0 || { echo 'make demo: needs root, for namespaces and eBPF: sudo make demo' >&2; exit 77; }
	@tools/setup.sh demo
	@.venv/bin/spale demo --dataplane $(DATAPLANE)

# Random tests in their short form; `nox -s property fuzz` takes its time.
test: export SPALE_PACKETS ?= 20000
test: export SPALE_FUZZ_S ?= 5
test: export SPALE_SEED ?= 1
test: venv
	@.venv/bin/nox --session $(SESSIONS)

# INSTALL_PYTHON names a Python of the version that .venv has, if it is not to be the system's.
install:
	@tools/setup.sh demo
	@.venv/bin/python $(PLACE) install --python '$(INSTALL_PYTHON)'
	@test -n '$(DESTDIR)' || echo 'spale is installed; to have it as a service: docs/operations.md (As a service)'

# Without .venv too, as long as there is any Python.
uninstall:
	@$(or $(wildcard .venv/bin/python),python3) $(PLACE) uninstall

PLACE = tools/install.py --destdir '$(DESTDIR)' --prefix '$(PREFIX)' \
	--sysconfdir '$(SYSCONFDIR)' --unitdir '$(UNITDIR)'

venv:
	@tools/setup.sh dev

lock: venv
	@.venv/bin/nox --session lock

clean:
	@$(MAKE) --no-print-directory -C bpf clean
	rm -rf .venv .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis site dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
