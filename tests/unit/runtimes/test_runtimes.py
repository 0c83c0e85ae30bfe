"""Wrapper scripts: their text and path, which a node lacks, and how they are installed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

import pytest

from pyinfra_gvisor.base.scripts import PATH, encoded, script
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.parts.resolver.files import ADDRESS, ADDRESS6
from pyinfra_gvisor.planning.wanted import wanted_daemon_json
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import missing, too_old, wrapper, wrappers
from pyinfra_gvisor.settings import load_settings
from tests.unit.answers import node
from tests.unit.shells import run, stub

RELEASE = "20260928.0"
RUNSC = "/opt/gvisor/releases/20260928.0/runsc"


@pytest.mark.parametrize(
    ("runtime", "flags"),
    [
        pytest.param(Runtime(), "--network=host --overlay2=none", id="default"),
        pytest.param(
            Runtime(network="sandbox"), "--network=sandbox --overlay2=none", id="netstack"
        ),
        pytest.param(
            Runtime(overlay="self"), "--network=host --overlay2=root:self", id="overlay-self"
        ),
        pytest.param(
            Runtime(overlay="memory"), "--network=host --overlay2=root:memory", id="overlay-memory"
        ),
        pytest.param(
            Runtime(
                flags=("--strace", "--debug"),
                panic_log="/var/log/gvisor/%TIMESTAMP%.panic",
                host_uds="open",
                reason="to see all of them",
                platform="kvm",
            ),
            "--network=host --platform=kvm --overlay2=none --host-uds=open "
            "--panic-log=/var/log/gvisor/%TIMESTAMP%.panic --strace --debug",
            id="all-in-one-order-whatever-theirs",
        ),
    ],
)
def test_a_wrapper_starts_its_release_with_its_flags(runtime: Runtime, flags: str) -> None:
    assert wrapper("runsc", RELEASE, runtime).text == f'#!/bin/sh\nexec {RUNSC} {flags} "$@"\n'


@pytest.mark.parametrize(
    ("release", "more"),
    [
        pytest.param("20230306.0", "", id="before-there-were-sidecars"),
        pytest.param(
            "20260727.0", " --sidecar-release-enforcement-policy=ALWAYS", id="with-sidecars"
        ),
    ],
)
def test_strict_says_of_a_release_what_it_knows(release: str, more: str) -> None:
    strict = Runtime(hardening="strict", flags=("--debug",))

    text = wrapper("runsc", release, strict).text

    flags = f"--network=host --overlay2=none --oci-seccomp --directfs=false{more} --debug"
    assert text.endswith(f'/runsc {flags} "$@"\n')
    assert too_old(release, {"a": strict}) is None


def test_a_release_without_a_flag_of_stricts_is_too_old() -> None:
    problem = too_old("20230227.0", {"a": Runtime(), "b": Runtime(hardening="strict")})

    assert str(problem) == (
        "hardening strict of runtime b needs release 20230306.0 or later, got 20230227.0; "
        "use a later release, or remove hardening strict from gvisor_runtimes['b']"
    )


def test_before_there_was_overlay2_nothing_is_said_of_it() -> None:
    text = wrapper("runsc", "20221218.0", Runtime()).text

    assert text.endswith('/runsc --network=host "$@"\n')


@pytest.mark.parametrize(
    ("release", "overlay", "since"),
    [
        pytest.param("20221218.0", "memory", "20221219.0", id="memory"),
        pytest.param("20221218.0", "self", "20231106.0", id="self-before-overlay2"),
        pytest.param("20221219.0", "self", "20231106.0", id="self"),
    ],
)
def test_a_release_is_too_old_for_an_overlay_that_it_has_not(
    release: str, overlay: Literal["self", "memory"], since: str
) -> None:
    problem = too_old(release, {"a": Runtime(), "fast": Runtime(overlay=overlay)})

    assert str(problem) == (
        f"overlay {overlay} of runtime fast needs release {since} or later, got {release}; "
        f"use a later release, or remove overlay {overlay} from gvisor_runtimes['fast']"
    )


@pytest.mark.parametrize(
    ("release", "overlay"),
    [
        pytest.param("20221218.0", "none", id="none"),
        pytest.param("20221219.0", "memory", id="memory"),
        pytest.param("20231106.0", "self", id="self"),
    ],
)
def test_a_release_that_has_the_overlay_is_not_too_old(
    release: str, overlay: Literal["none", "self", "memory"]
) -> None:
    assert too_old(release, {"a": Runtime(overlay=overlay)}) is None


def test_with_dockers_names_it_sees_to_them_before_it_starts_the_same() -> None:
    plain = wrapper("runsc", RELEASE, Runtime(network="sandbox")).text.splitlines()

    named = wrapper("runsc", RELEASE, Runtime(network="sandbox", dns="docker")).text.splitlines()

    assert [named[0], named[-1]] == plain
    assert named[1] == f"dockers_path=$PATH PATH={PATH}"
    assert named[2:4] == [f"resolver={ADDRESS}", f"resolver6={ADDRESS6}"]


def test_a_reason_is_no_part_of_a_wrapper() -> None:
    reasoned = Runtime(reason="for no reason at all")

    assert wrapper("runsc", RELEASE, reasoned) == wrapper("runsc", RELEASE, Runtime())


def test_profiles_with_the_same_flags_have_a_wrapper_each() -> None:
    one, two = wrappers(RELEASE, {"one": Runtime(), "two": Runtime()})

    assert one.text == two.text
    assert one.path != two.path


def test_a_wrapper_passes_on_the_arguments_it_gets_one_by_one(tmp_path: Path) -> None:
    text = wrapper("runsc", RELEASE, Runtime(network="none")).text
    script = tmp_path / "wrapper"
    script.write_text(text.replace(RUNSC, "printf '<%s>'"))

    shown = subprocess.run(
        ["sh", script, "--root", "/a b", "", "$(id)"], check=True, capture_output=True, text=True
    )

    assert shown.stdout == "<--network=none><--overlay2=none><--root></a b><><$(id)>"


def test_the_path_of_a_wrapper_never_changes() -> None:
    made = wrapper("runsc", RELEASE, Runtime())

    assert made.path == "/opt/gvisor/runtimes/runsc-20260928.0-c716311b"


@pytest.mark.parametrize(
    ("name", "release", "runtime"),
    [
        pytest.param("other", RELEASE, Runtime(), id="name"),
        pytest.param("runsc", "20260831.0", Runtime(), id="release"),
        pytest.param("runsc", RELEASE, Runtime(network="none"), id="network"),
        pytest.param("runsc", RELEASE, Runtime(network="sandbox", dns="docker"), id="dns"),
        pytest.param("runsc", RELEASE, Runtime(platform="systrap"), id="platform"),
        pytest.param("runsc", RELEASE, Runtime(overlay="self"), id="overlay"),
        pytest.param("runsc", RELEASE, Runtime(panic_log="/var/log/x"), id="panic-log"),
        pytest.param("runsc", RELEASE, Runtime(flags=("--debug",)), id="flags"),
    ],
)
def test_another_wrapper_has_another_path(name: str, release: str, runtime: Runtime) -> None:
    assert wrapper(name, release, runtime).path != wrapper("runsc", RELEASE, Runtime()).path


def test_a_node_lacks_wrappers_that_are_absent_or_changed_or_not_executable() -> None:
    profiles = dict.fromkeys(("runsc", "net", "off", "idle"), Runtime())
    there, damaged, absent, idle = wrappers(RELEASE, profiles)
    sums = {there.path: there.sha256, damaged.path: "0" * 64, idle.path: idle.sha256}
    found = node(wrappers=sums, not_executable=idle.path)

    lacking = missing(found, (there, damaged, absent, idle))

    assert lacking == (damaged, absent, idle)


def test_daemon_json_gets_a_path_and_no_arguments_for_each_runtime() -> None:
    settings, _ = load_settings({"gvisor_runtimes": {"runsc": {}, "net": {"network": "sandbox"}}})
    assert settings

    runtimes = wanted_daemon_json(settings)["runtimes"]

    assert runtimes == {
        "runsc": {"path": wrapper("runsc", RELEASE, Runtime()).path},
        "net": {"path": wrapper("net", RELEASE, Runtime(network="sandbox")).path},
    }


def test_without_runtimes_daemon_jsons_runtimes_are_not_ours() -> None:
    settings, _ = load_settings({"gvisor_runtimes": {}})
    assert settings

    assert "runtimes" not in wanted_daemon_json(settings)


# What runsc says to flags it does not know, and to values (seen with 20240729.0).
REFUSING = """
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
    stub(directory / "bin", "runsc", REFUSING)
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            '#!/bin/sh\nexec /nowhere "$@"\n',
            "runtime one on n: runsc 20240729.0 does not ",
            id="no-runsc",
        ),
        pytest.param(
            "#!/usr/bin/perl\nuse strict;\nour $policy = {'a',['b'};\n",
            "one on n: perl refuses the program: syntax error at - line ",
            id="program",
        ),
        pytest.param(
            "#!/bin/sh\nexec true \"$@\"\n#!/usr/bin/perl\nuse strict;\nour $seal = 'it's';\n",
            "one on n: perl refuses the program: ",
            id="part-of-a-wrapper",
        ),
        pytest.param(
            "#!/usr/bin/perl\nuse strict;\ndie 'it ran' if $undeclared;\n",
            "one on n: perl refuses the program: Global symbol",
            id="strict",
        ),
        pytest.param(
            "#!/no-perl\nuse strict;\n",
            "one on n: /no-perl is missing; "
            "install perl-base, a package that every Debian and Ubuntu has\n",
            id="no-perl",
        ),
    ],
)
def test_what_cannot_run_is_told_and_not_written(tmp_path: Path, text: str, said: str) -> None:
    program = script("runtimes/install_wrappers", host="n", release="20240729.0")
    if "/no-perl" in text:
        program = program.replace("/usr/bin/perl", "/no-perl")

    ran = run(program, f"{tmp_path}/runtimes/one-20240729.0-00000000", encoded(text))

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"gvisor.runtimes: {said}")
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
