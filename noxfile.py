# SPDX-License-Identifier: MIT
"""The checks, by name: `.venv/bin/nox -s NAME` after `make venv`.

All run in .venv, whichever nox runs them, but for those that make or check what is released: each of them
has an environment of its own in .nox. They, `kernels` and `lock` need the network.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.download_python = "never"
nox.options.sessions = ["lint", "typecheck", "unit", "property", "fuzz", "kernel", "e2e", "docs"]

BIN = Path(__file__).parent / ".venv" / "bin"
SIDE_BY_SIDE = ("-n", "5", "--dist", "worksteal")
"""For tests that wait more than they work; neighbours stay together, as they share daemons."""

PYTHONS = ("3.11", "3.12", "3.13")

SHELL_SCRIPTS = (
    "tools/setup.sh",
    ".ci/run",
    "tests/e2e/boot.sh",
    *(f"packaging/debian/spale.{script}" for script in ("postinst", "prerm", "postrm")),
    *(f"spale_core/share/bash-completion/completions/spale{more}" for more in ("", "-send", "-keygen")),
)


def tool(session: nox.Session, name: str, *arguments: str) -> None:
    """Run the program `name` of .venv."""
    session.run(str(BIN / name), *arguments, external=True)


def pytest(session: nox.Session, *arguments: str) -> None:
    """Run tests, and whatever the caller wrote behind `--`; the closing lines of pytest stay visible."""
    tool(session, "pytest", *arguments, *session.posargs)


def objects(session: nox.Session) -> None:
    """Build the kernel programs, if they are older than their source."""
    session.run("make", "--no-print-directory", "--silent", "-C", "bpf")


def install_pinned(session: nox.Session, name: str) -> None:
    """Install what requirements/NAME.txt pins, hashes checked, into the session's own environment."""
    pinned = ("--require-hashes", "--only-binary", ":all:", "-r", f"requirements/{name}.txt")
    session.install("--quiet", *pinned)


def release_tools(session: nox.Session) -> None:
    """Install what makes and checks what is released."""
    install_pinned(session, "release")


@nox.session
def lint(session: nox.Session) -> None:
    """Check every rule of ruff, its formatting, and the shell scripts."""
    tool(session, "ruff", "check", "--quiet")
    tool(session, "ruff", "format", "--check", "--quiet")
    tool(session, "shellcheck", *SHELL_SCRIPTS)


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check the types of what is shipped, strictly."""
    tool(session, "mypy")


@nox.session
def unit(session: nox.Session) -> None:
    """Test what needs neither root nor a kernel: units, contracts, the repository itself."""
    pytest(session, *SIDE_BY_SIDE, "tests/unit", "tests/contract", "tests/repo")


def long_form(session: nox.Session) -> None:
    """Let random tests take their time, unless the environment says how much, as `make test` does."""
    long = {"SPALE_PACKETS": "1000000", "SPALE_FUZZ_S": "60", "SPALE_SEED": str(time.time_ns())}
    session.env.update({name: os.environ.get(name, value) for name, value in long.items()})
    session.log(f"SPALE_SEED={session.env['SPALE_SEED']}")


@nox.session(name="property")
def property_(session: nox.Session) -> None:
    """Try random input against the promises that must always hold (longer: -- --hypothesis-profile=deep)."""
    long_form(session)
    objects(session)
    pytest(session, "-n", "2", "tests/property")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed the packet parsers random bytes for SPALE_FUZZ_S seconds (60), under clang's sanitizers."""
    long_form(session)
    pytest(session, "--timeout=0", "tests/fuzz")


@nox.session
def bpf(session: nox.Session) -> None:
    """Build the kernel programs from nothing; a warning is an error."""
    session.run("make", "--no-print-directory", "-C", "bpf", "clean", "all")


@nox.session
def kernel(session: nox.Session) -> None:
    """Test the programs in the running kernel: packets in, verdicts out; real frames at real listeners."""
    objects(session)
    pytest(session, "-n", "2", "tests/kernel", "tests/frames")


@nox.session
def e2e(session: nox.Session) -> None:
    """Test real daemons and real clients between network namespaces."""
    objects(session)
    pytest(session, *SIDE_BY_SIDE, "-m", "not alone", "tests/e2e")
    pytest(session, "-m", "alone", "tests/e2e")


@nox.session
def faults(session: nox.Session) -> None:
    """Restart and kill real daemons SPALE_RESTARTS times (50) while a stranger tries to get in.

    And let them read their configuration again SPALE_RELOADS times (100) while knocks come in.
    """
    session.env["SPALE_RESTARTS"] = os.environ.get("SPALE_RESTARTS", "50")
    session.env["SPALE_RELOADS"] = os.environ.get("SPALE_RELOADS", "100")
    objects(session)
    pytest(session, "-n", "4", "tests/e2e/test_life_cycle.py", "tests/e2e/test_reload.py")


@nox.session
def systemd(session: nox.Session) -> None:
    """Boot a real systemd beside this one, with spale as its service: watchdog, mistakes, capabilities."""
    session.env["SPALE_SYSTEMD"] = "1"
    objects(session)
    service = ("tests/e2e/test_service.py", "tests/e2e/test_service_failures.py")
    pytest(session, "tests/unit/test_install.py", *service)


@nox.session
def load(session: nox.Session) -> None:
    """Give real daemons SPALE_CLIENTS clients (10,000), and junk of each kind for SPALE_SIEGE_S s (30)."""
    long = {"SPALE_SIEGE_S": "30", "SPALE_CLIENTS": "10000", "SPALE_START_S": "2"}
    session.env.update({name: os.environ.get(name, value) for name, value in long.items()})
    objects(session)
    pytest(session, "--timeout=0", "tests/e2e/test_many_clients.py")
    pytest(session, "--capture=no", "--timeout=0", "tests/e2e/test_junk.py")


@nox.session
def ssh(session: nox.Session) -> None:
    """Log in SPALE_SSH_RUNS times (20) by a real ssh through spale-send, and copy SPALE_SSH_MB MB (100)."""
    long = {"SPALE_SSH_RUNS": "20", "SPALE_SSH_MB": "100"}
    session.env.update({name: os.environ.get(name, value) for name, value in long.items()})
    objects(session)
    pytest(session, "--timeout=600", "tests/e2e/test_ssh.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Print what it costs, in the kernel and from end to end; as root, not part of `make test`."""
    objects(session)
    for script in ("kernel_ns", "compiled", "flood", "throughput", "opens", "sweep"):
        tool(session, "python", f"tests/bench/{script}.py")
    for dataplane in ("tc", "xdp"):
        tool(session, "python", "tests/bench/end_to_end.py", dataplane)
    for script in ("knocks", "first_try", "life_cycle", "reload", "interfaces", "control"):
        tool(session, "python", f"tests/bench/{script}.py")


@nox.session
def abi(session: nox.Session) -> None:
    """Generate spale_bpf/_abi.py from the objects' BTF."""
    session.run("make", "--no-print-directory", "--silent", "-C", "bpf", "abi", f"PYTHON={BIN / 'python'}")


@nox.session
def man(session: nox.Session) -> None:
    """Write what is made of parsers and keys: man pages, completion of shells, lists in the documents."""
    for script in ("config_docs", "share"):
        tool(session, "python", f"tools/{script}.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, where a broken link is an error, and the next changelog."""
    tool(session, "mkdocs", "build", "--strict")  # --quiet would hide the warnings from --strict
    tool(session, "towncrier", "build", "--draft", "--version", "next")


@nox.session
def demo(session: nox.Session) -> None:
    """Show the story of a port, as root; arguments behind `--` go to `spale demo`."""
    objects(session)
    tool(session, "spale", "demo", *session.posargs)


@nox.session(venv_backend="venv", reuse_venv=True)
def build(session: nox.Session) -> None:
    """Build sdists and wheels of the five into dist/, and try them without compiler and libbpf."""
    release_tools(session)
    session.run("python", "tools/wheels.py", "dist")
    made = [str(path) for path in sorted(Path("dist").glob("spale*")) if path.suffix in {".gz", ".whl"}]
    session.run("twine", "check", "--strict", *made)
    session.run("check-wheel-contents", *(name for name in made if name.endswith(".whl")))
    third_party = str(Path(session.virtualenv.location) / "third-party")
    pinned = ("--require-hashes", "--only-binary", ":all:", "-r", "requirements/base.txt")
    session.run("pip", "download", "--quiet", "--dest", third_party, *pinned)
    session.env.update(SPALE_THIRD_PARTY=third_party, SPALE_BUILD_PYTHON=str(Path(session.bin) / "python"))
    pytest(session, "tests/release/test_builds.py", "tests/release/test_wheels.py")


@nox.session
def onefile(session: nox.Session) -> None:
    """Build dist/spale, one executable file with all inside, and try it where nothing else is, as root."""
    session.run("tools/setup.sh", "onefile")
    session.run(".nox/onefile/bin/python", "tools/onefile/build.py", external=True)
    tests = (f"tests/release/test_onefile{part}.py" for part in ("", "_daemon", "_service"))
    pytest(session, "--timeout=300", *tests)


@nox.session
def deb(session: nox.Session) -> None:
    """Build the Debian package into dist/; install, upgrade, purge it in a Debian of its own, as root."""
    session.run("tools/setup.sh", "deb")
    tool(session, "python", "tools/debian_package.py")
    pytest(session, "--timeout=1800", "tests/release/test_deb.py")


@nox.session
def kernels(session: nox.Session) -> None:
    """Boot kernels from 5.10 to the newest in an emulator, and try spale under each."""
    session.run("tools/setup.sh", "kernels")
    tool(session, "python", "tools/try_kernels.py")


@nox.session(venv_backend="venv", reuse_venv=True)
def sbom(session: nox.Session) -> None:
    """Write an SBOM beside each artefact in dist/: NAME.cdx.json."""
    release_tools(session)
    session.run("python", "tools/sboms.py", "dist")
    pytest(session, "tests/release/test_sboms.py")


@nox.session(venv_backend="venv", reuse_venv=True)
def audit(session: nox.Session) -> None:
    """Ask whether anything that is pinned has a known vulnerability; SPALE_AUDIT says whom (pypi, osv)."""
    release_tools(session)
    said = str(session.run("python", "tools/audit.py", silent=True, success_codes=(0, 69))).strip()
    if "not audited: " in said:
        session.skip(said)
    session.log(said)


@nox.session(venv_backend="venv", reuse_venv=True)
def release(session: nox.Session) -> None:
    """Check that a version can be released, and publish nothing: `nox -s release -- 1.0.0`."""
    release_tools(session)
    session.run("python", "tools/release.py", *session.posargs)


@nox.session
def interpreters(_session: nox.Session) -> None:
    """Let the sessions that follow find the Pythons of pyenv, too."""
    folders = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")
    os.environ["PATH"] = os.pathsep.join((os.environ["PATH"], *sorted(map(str, folders))))


@nox.session(python=PYTHONS, venv_backend="venv", reuse_venv=True, requires=["interpreters"])
def pythons(session: nox.Session) -> None:
    """Run the tests by which a version of Python could make a difference, with each that is supported."""
    install_pinned(session, "dev")
    editable = (f"--editable=./{path.parent}" for path in sorted(Path().glob("*/pyproject.toml")))
    session.install("--quiet", "--no-deps", "--no-build-isolation", *editable)
    objects(session)
    session.run("python", "tools/pythons.py", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Pin the newest packages that requirements/*.in allow; needs the network."""
    versions = ("--upgrade", "--universal", "--python-version=3.11", "--generate-hashes")
    silence = ("--quiet", "--no-emit-index-url", "--no-annotate", "--custom-compile-command=make lock")
    for name in ("base", "dev", "release"):
        constraint = () if name == "base" else ("--constraint=requirements/base.txt",)
        files = (f"--output-file=requirements/{name}.txt", f"requirements/{name}.in")
        tool(session, "uv", "pip", "compile", *versions, *silence, *constraint, *files)
