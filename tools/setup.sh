#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Set up whatever is missing to run spale from this folder: `tools/setup.sh demo` what `make demo` needs,
# `tools/setup.sh dev` what `make test` needs. The Makefile calls it each time; when nothing is missing it
# only looks, and is done in a fraction of a second. `tools/setup.sh onefile` is for `nox -s onefile`, `tools/setup.sh
# deb` for `nox -s deb`: virtual environments of their own, of the distribution's Python; `tools/setup.sh kernels` is
# for `nox -s kernels`, which works in .venv.
#
#   system packages   by apt-get where it is there and we are root; else it says which, and stops
#   .venv             of the first Python 3.11 to 3.13 it finds (PYTHON=... chooses another)
#   PyPI packages     exactly those of requirements/, hashes checked
#   kernel objects    make -C bpf
#   distributions     the five of this repository, editable
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly DISTRIBUTIONS=(bpf spale_core spale_crypto_hpke spale_tc spale_xdp)
readonly PROFILE=${1:?demo, dev, onefile, deb or kernels}
VENV=.venv
case $PROFILE in
    onefile)
        VENV=.nox/onefile
        PYTHON=/usr/bin/python3 # its libraries are stripped, and the file that is made of them is smaller
        ;;
    deb)
        VENV=.nox/deb
        PYTHON=/usr/bin/python3 # the package's, too
        ;;
esac
readonly VENV

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# Run a command up to four times, waiting 5, 10 and 20 s in between: networks and apt's locks recover.
with_retries() {
    local wait_s
    for wait_s in 5 10 20; do
        "$@" && return
        say "failed: $1; again in $wait_s s"
        sleep "$wait_s"
    done
    "$@"
}

# --- Python ---------------------------------------------------------------------------------------------

# Whether $1 is a Python that spale supports and that can make a virtual environment.
suits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

# Print the first Python that suits. Version managers put names on the PATH that do not run, so each is tried.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        suits "$candidate" && { echo "$candidate"; return; }
    done
    return 1
}

# --- system packages ------------------------------------------------------------------------------------

# The command $1, also where only root's PATH has it.
has_command() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

# Whether the loader finds the library $1, or nobody can be asked. (grep -q would end before ldconfig has.)
has_library() {
    ! has_command ldconfig || PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep "^[[:space:]]*$1 " >/dev/null
}

# Print a bpftool that runs. Ubuntu's /usr/sbin/bpftool is a wrapper that wants the running kernel's own package.
find_bpftool() {
    local candidate
    for candidate in /usr{/local,}/{sbin,bin}/bpftool /usr/lib/linux-tools{*,/*}/bpftool; do
        "$candidate" version >/dev/null 2>&1 && { echo "$candidate"; return; }
    done
    return 1
}

# Whether apt knows a real package $1, not only a virtual one.
is_package() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [0-9]'; }

# Print the package that holds bpftool: one of that name in Debian; in Ubuntu 24.04 that is only virtual.
bpftool_package() {
    if ! is_package bpftool && is_package linux-tools-generic; then
        echo linux-tools-generic
    else
        echo bpftool
    fi
}

# Whether $VENV is there and runs: not after its folder was moved or its Python removed.
venv_runs() {
    [ "$(cat $VENV/.setup-place 2>/dev/null)" = "$PWD" ] && $VENV/bin/python -c '' 2>/dev/null
}

# Whether clang has the libraries of its sanitizers and of libFuzzer.
has_sanitizers() { ls "$(clang -print-resource-dir 2>/dev/null)"/lib/linux/libclang_rt.fuzzer-*.a >/dev/null 2>&1; }

# Print what PyInstaller still lacks: the library of a Python that suits, and binutils for objdump and strip.
one_file_packages() {
    local library
    has_command strip || echo binutils
    library=$("$PYTHON" -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])' 2>/dev/null) || library=libpython3-dev
    has_library "$library.so.1.0" || echo "$library"
}

# Print what still lacks to build a Debian package, and to try it in a Debian of its own.
debian_packages() {
    has_command dh || echo debhelper
    has_command dpkg-buildpackage || echo dpkg-dev
    has_command lintian || echo lintian
    has_command debootstrap || echo debootstrap
}

# Print what boots other kernels than this one, and what apt knows Debian's by.
emulator_packages() {
    has_command qemu-system-x86_64 || echo qemu-system-x86
    has_command busybox || echo busybox-static
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
}

# Print the Debian/Ubuntu packages that $PROFILE still lacks, one a line.
missing_packages() {
    venv_runs || find_python >/dev/null || printf 'python3\npython3-venv\n'
    has_command clang || echo clang
    has_command llvm-strip || echo llvm
    [ -e /usr/include/bpf/bpf_helpers.h ] || echo libbpf-dev
    has_command ip || echo iproute2
    has_library libseccomp.so.2 || echo libseccomp2
    [ "$PROFILE" = onefile ] && one_file_packages
    [ "$PROFILE" = deb ] && debian_packages
    [ "$PROFILE" = kernels ] && emulator_packages
    [ "$PROFILE" = dev ] || return 0
    find_bpftool >/dev/null || bpftool_package
    has_sanitizers || echo libclang-rt-dev
    [ -e /usr/lib/python3/dist-packages/bcc/__init__.py ] || echo python3-bpfcc
    has_command openssl || echo openssl
    has_command systemd-analyze || echo systemd
    # Man pages and completion are tried in what will read them.
    has_command mandoc || echo mandoc
    has_command groff || echo groff-base
    has_command zsh || echo zsh
    has_command fish || echo fish
    has_command ssh || echo openssh-client
    has_command rsync || echo rsync
    # Where systemd runs, installing it would open port 22 for good; the tests that want one are skipped there.
    has_command sshd || [ -d /run/systemd/system ] || echo openssh-server
}

# apt-get, without questions, waiting for another apt that is at work.
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null >&2
}

system_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! has_command apt-get || [ "$(id -u)" != 0 ]; then
        say "these packages are missing (Debian's and Ubuntu's names): ${missing[*]}"
        has_command apt-get && say "as root: apt-get install --no-install-recommends ${missing[*]}"
        die "install them, then run make again"
    fi
    with_retries apt update
    mapfile -t missing < <(missing_packages) # what a package is called may show only now
    say "installing ${missing[*]}"
    with_retries apt install --no-install-recommends "${missing[@]}"
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -eq 0 ] || die "still missing after apt-get: ${missing[*]} (Python must be 3.11 to 3.13)"
}

# --- .venv ----------------------------------------------------------------------------------------------

# Run $2... unless $VENV/.setup-$1 says that it was done with exactly the files and words given as stdin.
once() {
    local stamp=$VENV/.setup-$1 state
    state=$({ cat; pwd; $VENV/bin/python -VV; } | sha256sum)
    shift
    [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && return
    "$@" || return
    echo "$state" >"$stamp"
}

virtual_environment() {
    local python
    venv_runs && return
    python=$(find_python) || die "no Python 3.11, 3.12 or 3.13 with venv found; install one (PYTHON=/path/to/it names it)"
    say "making $VENV with $("$python" -V)"
    "$python" -m venv --clear $VENV
    pwd >$VENV/.setup-place
}

pip() { $VENV/bin/python -m pip --disable-pip-version-check --quiet "$@" </dev/null; }

install_pinned() {
    say "installing the packages of $1"
    with_retries pip install --require-hashes --only-binary :all: -r "$1"
}

install_distributions() {
    say "installing the five distributions, editable"
    # shellcheck disable=SC2046 # the names have no spaces
    pip install --no-deps --no-build-isolation $(printf -- '-e ./%s ' "${DISTRIBUTIONS[@]}")
}

# A bpftool that runs, under a name that everything started from .venv finds first.
link_bpftool() {
    local found
    found=$(find_bpftool)
    ln -sf "$found" $VENV/bin/bpftool
}

# --- all of it ------------------------------------------------------------------------------------------

case $PROFILE in
    demo | deb) requirements=requirements/base.txt ;;
    dev | kernels) requirements=requirements/dev.txt ;;
    onefile) requirements=requirements/release.txt ;;
    *) die "demo, dev, onefile, deb or kernels, not $PROFILE" ;;
esac
system_packages
virtual_environment
# What dev has installed is enough for a demo: base.txt is a part of it.
if [ "$PROFILE" = dev ] || ! once dev false <requirements/dev.txt; then
    once "$PROFILE" install_pinned $requirements < <(cat $requirements)
fi
# The one file is made of released wheels, which its builder installs; the package is built from the source.
[[ $PROFILE == @(onefile|deb) ]] || once distributions install_distributions < <(cat "${DISTRIBUTIONS[@]/%//pyproject.toml}")
[ "$PROFILE" != dev ] || link_bpftool
make --no-print-directory --silent -C bpf >&2
