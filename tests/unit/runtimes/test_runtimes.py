"""Wrapper scripts: their text and path, which a node lacks, and how they are installed."""

import re
import subprocess
from pathlib import Path

from pyinfra_gvisor.base.scripts import PATH, packed, script
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.programs import judge_program
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.parts.resolver.files import ADDRESS, ADDRESS6
from pyinfra_gvisor.planning.wanted import wanted_daemon_json
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import missing, too_old, wrapper, wrappers
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import node
from tests.unit.settings.loaded_settings import good
from tests.unit.shells import run, stub

RELEASE = "20260928.0"
SELF = "20231106.0"


EVERYTHING = Runtime(
    flags=("--strace", "--debug"),
    panic_log="/var/log/gvisor/%TIMESTAMP%.panic",
    host_uds="open",
    reason="to see all of them",
    platform="kvm",
)
STRICT = Runtime(hardening="strict", flags=("--debug",))
HARDENED = "--network=host --overlay2=none --oci-seccomp --directfs=false"


@table(
    "release, runtime, flags",
    default=(RELEASE, Runtime(), "--network=host --overlay2=none"),
    netstack=(RELEASE, Runtime(network="sandbox"), "--network=sandbox --overlay2=none"),
    overlay_self=(RELEASE, Runtime(overlay="self"), "--network=host --overlay2=root:self"),
    overlay_memory=(RELEASE, Runtime(overlay="memory"), "--network=host --overlay2=root:memory"),
    all_in_one_order_whatever_theirs=(
        RELEASE,
        EVERYTHING,
        (
            "--network=host --platform=kvm --overlay2=none --host-uds=open "
            "--panic-log=/var/log/gvisor/%TIMESTAMP%.panic --strace --debug"
        ),
    ),
    strict_before_there_were_sidecars=("20230306.0", STRICT, f"{HARDENED} --debug"),
    strict=(
        "20260727.0",
        STRICT,
        f"{HARDENED} --sidecar-release-enforcement-policy=ALWAYS --debug",
    ),
    before_there_was_overlay2=("20221218.0", Runtime(), "--network=host"),
)
def test_a_wrapper_starts_its_release_with_its_flags(
    release: str, runtime: Runtime, flags: str
) -> None:
    runsc = f"/opt/gvisor/releases/{release}/runsc"

    assert wrapper("runsc", release, runtime).text == f'#!/bin/sh\nexec {runsc} {flags} "$@"\n'


@table(
    "release, runtime, what, since",
    memory=("20221218.0", Runtime(overlay="memory"), "overlay memory", "20221219.0"),
    memory_since=("20221219.0", Runtime(overlay="memory"), "", ""),
    self_before_overlay2=("20221218.0", Runtime(overlay="self"), "overlay self", SELF),
    self=("20221219.0", Runtime(overlay="self"), "overlay self", SELF),
    self_since=(SELF, Runtime(overlay="self"), "", ""),
    strict=("20230227.0", STRICT, "hardening strict", "20230306.0"),
    strict_since=("20230306.0", STRICT, "", ""),
    none=("20221218.0", Runtime(), "", ""),
)
def test_a_release_is_too_old_for_what_it_has_not(
    release: str, runtime: Runtime, what: str, since: str
) -> None:
    said = (
        f"{what} of runtime fast needs release {since} or later, got {release}; "
        f"use a later release, or remove {what} from gvisor_runtimes['fast']"
    )

    assert str(too_old(release, {"a": Runtime(), "fast": runtime})) == (said if since else "None")


def test_with_dockers_names_it_sees_to_them_before_it_starts_the_same() -> None:
    plain = wrapper("runsc", RELEASE, Runtime(network="sandbox")).text.splitlines()

    named = wrapper("runsc", RELEASE, Runtime(network="sandbox", dns="docker")).text.splitlines()

    assert [named[0], named[-1]] == plain
    ours = [f"dockers_path=$PATH PATH={PATH}", f"resolver={ADDRESS}", f"resolver6={ADDRESS6}"]
    assert named[1:4] == ours


def test_a_reason_is_no_part_of_a_wrapper() -> None:
    reasoned = Runtime(reason="for no reason at all")

    assert wrapper("runsc", RELEASE, reasoned) == wrapper("runsc", RELEASE, Runtime())


def test_a_wrapper_passes_on_the_arguments_it_gets_one_by_one(tmp_path: Path) -> None:
    text = wrapper("runsc", RELEASE, Runtime(network="none")).text
    script = tmp_path / "wrapper"
    script.write_text(text.replace("/opt/gvisor/releases/20260928.0/runsc", "printf '<%s>'"))

    shown = subprocess.run(
        ["sh", script, "--root", "/a b", "", "$(id)"], check=True, capture_output=True, text=True
    )

    assert shown.stdout == "<--network=none><--overlay2=none><--root></a b><><$(id)>"


def test_the_path_of_a_wrapper_never_changes() -> None:
    made = wrapper("runsc", RELEASE, Runtime())

    assert made.path == "/opt/gvisor/runtimes/runsc-20260928.0-c716311b"


@table(
    "name, release, runtime",
    name=("other", RELEASE, Runtime()),
    release=("runsc", "20260831.0", Runtime()),
    network=("runsc", RELEASE, Runtime(network="none")),
    dns=("runsc", RELEASE, Runtime(network="sandbox", dns="docker")),
    flags=("runsc", RELEASE, Runtime(flags=("--debug",))),
)
def test_another_wrapper_has_another_path(name: str, release: str, runtime: Runtime) -> None:
    assert wrapper(name, release, runtime).path != wrapper("runsc", RELEASE, Runtime()).path


def test_a_node_lacks_wrappers_that_are_absent_or_changed_or_not_executable() -> None:
    profiles = dict.fromkeys(("runsc", "net", "off", "idle"), Runtime())
    there, damaged, absent, idle = wrappers(RELEASE, profiles)
    sums = {there.path: there.sha256, damaged.path: "0" * 64, idle.path: idle.sha256}
    found = node(wrappers=sums, not_executable=idle.path)

    assert missing(found, (there, damaged, absent, idle)) == (damaged, absent, idle)


@table("runtimes", two={"runsc": {}, "net": {"network": "sandbox"}}, none={})
def test_daemon_json_gets_a_path_and_no_arguments_for_each_runtime(runtimes: Data) -> None:
    paths = {
        name: {"path": wrapper(name, RELEASE, Runtime(**asked)).path}
        for name, asked in runtimes.items()
    }

    wanted = wanted_daemon_json(good(gvisor_runtimes=runtimes))

    assert wanted.get("runtimes") == (paths or None), "without any they are not ours"


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


INSTALL = script("runtimes/install_wrappers", host="n", release="20240729.0")


def install(directory: Path, **flags: str) -> subprocess.CompletedProcess[str]:
    """Run the script for these runtimes."""
    (directory / "bin").mkdir()
    stub(directory / "bin", "runsc", REFUSING)
    words = []
    for name, given in flags.items():
        text = f'#!/bin/sh\nexec {directory}/bin/runsc {given} "$@"\n'
        words += [f"{directory}/runtimes/{name}-20240729.0-00000000", packed(text)]
    return run(INSTALL, *words)


def test_wrappers_are_written_executable_and_whole_and_begin_no_log(tmp_path: Path) -> None:
    ran = install(tmp_path, one="--network=host", two="--debug-log=/var/log/x/")

    assert ran.returncode == 0, ran.stderr
    one, two = sorted((tmp_path / "runtimes").iterdir())
    assert [path.name.split("-")[0] for path in (one, two)] == ["one", "two"]
    assert [path.stat().st_mode & 0o777 for path in (one, two)] == [0o755, 0o755]
    assert two.read_text().endswith('/bin/runsc --debug-log=/var/log/x/ "$@"\n')
    asked = (tmp_path / "bin" / "asked").read_text()
    assert asked.endswith("<--debug-log=/var/log/x/><--log=><--debug-log=><help>")


@table(
    "flags, said",
    unknown_flag=("--bogus", "flag provided but not defined: -bogus"),
    unknown_value=("--platform=xyz", "unknown platform: xyz"),
    cut_and_printable=("--long", "0" * 200),
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


PYTHON = "#!/usr/bin/python3 -I\n"
REFUSES = "/usr/bin/python3 cannot load the judge: "


@table(
    "text, said",
    no_runsc=('#!/bin/sh\nexec /nowhere "$@"\n', "runsc 20240729.0 does not "),
    program=(f"{PYTHON}x = [)\n", f"{REFUSES}SyntaxError: "),
    module=(f"{PYTHON}import nothing\n", f"{REFUSES}ModuleNotFoundError: No module named "),
    cut=(judge_program()[:-20], REFUSES),
    no_python=(f"{PYTHON}# /no-python\n", "/no-python is missing; install python3\n"),
)
def test_what_cannot_run_is_told_and_not_written(tmp_path: Path, text: str, said: str) -> None:
    there = "/no-python" if "/no-python" in text else "/usr/bin/python3"
    program = INSTALL.replace("/usr/bin/python3 ", f"{there} ")

    ran = run(program, f"{tmp_path}/runtimes/one-20240729.0-00000000", packed(text))

    assert ran.returncode == 1
    assert re.match(r"gvisor\.runtimes: (runtime )?one on n: " + re.escape(said), ran.stderr)
    assert not (tmp_path / "runtimes").exists()


def test_the_judge_of_a_default_runtime_is_loaded_and_written(tmp_path: Path) -> None:
    found = wrappers("20240729.0", {"runsc": Runtime(seal=Seal())}, Dispatch("runsc", ()))
    words = []
    for item in found:
        text = item.text.replace("/opt/gvisor/releases/20240729.0/runsc", "/bin/true")
        words += [f"{tmp_path}/runtimes/{item.runtime}", packed(text)]

    ran = run(INSTALL, *words)

    assert ran.returncode == 0, ran.stderr
    written = {path.name for path in (tmp_path / "runtimes").iterdir()}
    assert written == {item.runtime for item in found}
