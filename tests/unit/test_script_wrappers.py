"""``install_wrappers.sh``: wrappers are written if runsc takes the flags of all, else none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrappers
from tests.unit.shells import run, stub

# What runsc says to flags it does not know, and to values (seen with 20240729.0).
RUNSC = """
for word; do
    case "$word" in
        --bogus)
            printf 'flag provided but not defined: -bogus\\nUsage: runsc <flags>\\n' >&2
            exit 2
            ;;
        --platform=xyz)
            echo 'W1124 22:02:50.7  14525 util.go:64] FATAL ERROR: unknown platform: xyz' >&2
            echo 'unknown platform: xyz' >&2
            exit 128
            ;;
        --long) printf '\\033%0300d\\n' 0 >&2; exit 2 ;;
    esac
done
printf '<%s>' "$@" >> "${0%/*}/asked"
echo 'Usage: runsc <flags> <subcommand>'
"""


def install(directory: Path, **flags: str) -> subprocess.CompletedProcess[str]:
    """Run the script for these runtimes."""
    (directory / "bin").mkdir()
    stub(directory / "bin", "runsc", RUNSC)
    words = [
        word
        for name, given in flags.items()
        for word in (
            f"{directory}/runtimes/{name}-20240729.0-00000000",
            encoded(f'#!/bin/sh\nexec {directory}/bin/runsc {given} "$@"\n'),
        )
    ]
    return run(script("runtimes/install_wrappers", host="n", release="20240729.0"), *words)


def test_wrappers_are_written_executable_and_whole(tmp_path: Path) -> None:
    ran = install(tmp_path, one="--network=host", two="--network=none --debug")

    found = sorted((tmp_path / "runtimes").iterdir())
    assert ran.returncode == 0, ran.stderr
    assert [path.name.split("-")[0] for path in found] == ["one", "two"]
    assert [path.stat().st_mode & 0o777 for path in found] == [0o755, 0o755]
    assert found[1].read_text().endswith('/bin/runsc --network=none --debug "$@"\n')


def test_runsc_is_asked_for_help_and_begins_no_log(tmp_path: Path) -> None:
    install(tmp_path, one="--debug-log=/var/log/x/")

    asked = (tmp_path / "bin" / "asked").read_text()
    assert asked == "<--debug-log=/var/log/x/><--log=><--debug-log=><help>"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param("--bogus", "flag provided but not defined: -bogus", id="unknown-flag"),
        pytest.param("--platform=xyz", "unknown platform: xyz", id="unknown-value"),
        pytest.param("--long", "0" * 200, id="cut-and-printable"),
    ],
)
def test_flags_that_runsc_refuses_are_told_and_no_wrapper_is_written(
    tmp_path: Path, flags: str, said: str
) -> None:
    ran = install(tmp_path, good="--network=host", odd=flags)

    assert ran.returncode == 1
    assert ran.stderr == (
        f"gvisor.runtimes: runtime odd on n: runsc 20240729.0 refuses its flags: {said}; "
        'correct gvisor_runtimes["odd"]\n'
    )
    assert not (tmp_path / "runtimes").exists()


def test_a_runsc_that_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    text = encoded(f'#!/bin/sh\nexec {tmp_path}/nowhere "$@"\n')

    ran = run(
        script("runtimes/install_wrappers", host="n", release="20240729.0"),
        f"{tmp_path}/runtimes/one-20240729.0-00000000",
        text,
    )

    assert ran.returncode == 1
    assert ran.stderr.startswith("gvisor.runtimes: runtime one on n: runsc 20240729.0 does not ")
    assert not (tmp_path / "runtimes").exists()


@pytest.mark.parametrize(
    ("head", "code", "said"),
    [
        pytest.param("", "our $policy = {'a',['b'};", "syntax error at - line ", id="program"),
        pytest.param(
            '#!/bin/sh\nexec true "$@"\n', "our $seal = 'it's';", "", id="part-of-a-wrapper"
        ),
        pytest.param("", "die 'it ran' if $undeclared;", "Global symbol", id="strict"),
    ],
)
def test_a_program_that_perl_refuses_is_told_and_no_wrapper_is_written(
    tmp_path: Path, head: str, code: str, said: str
) -> None:
    text = encoded(f"{head}#!/usr/bin/perl\nuse strict;\n{code}\n")

    ran = run(
        script("runtimes/install_wrappers", host="n", release="20240729.0"),
        f"{tmp_path}/runtimes/one-20240729.0-00000000",
        text,
    )

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"gvisor.runtimes: one on n: perl refuses the program: {said}")
    assert not (tmp_path / "runtimes").exists()


def test_without_perl_no_program_is_written_and_what_to_install_is_told(tmp_path: Path) -> None:
    path = f"{tmp_path}/runtimes/one-20240729.0-00000000"
    text = script("runtimes/install_wrappers", host="n", release="20240729.0")

    ran = run(
        text.replace("/usr/bin/perl", f"{tmp_path}/no-perl"),
        path,
        encoded(f"#!{tmp_path}/no-perl\nuse strict;\n"),
    )

    assert ran.returncode == 1
    assert ran.stderr == (
        f"gvisor.runtimes: one on n: {tmp_path}/no-perl is missing; "
        "install perl-base, a package that every Debian and Ubuntu has\n"
    )
    assert not (tmp_path / "runtimes").exists()


def test_the_programs_of_a_default_runtime_are_compiled_and_written_but_not_run(
    tmp_path: Path,
) -> None:
    runtimes = {"runsc": Runtime(seal=Seal())}
    found = wrappers("20240729.0", runtimes, Dispatch("runsc", ()))
    words = []
    for item in found:
        text = item.text.replace("/opt/gvisor/releases/20240729.0/runsc", "/bin/true")
        words += [f"{tmp_path}/runtimes/{item.runtime}", encoded(text)]

    ran = run(script("runtimes/install_wrappers", host="n", release="20240729.0"), *words)

    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in (tmp_path / "runtimes").iterdir()} == {
        item.runtime for item in found
    }
