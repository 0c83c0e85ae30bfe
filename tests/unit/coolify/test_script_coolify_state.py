"""``coolify/state.sh``, ``option.sh`` of the deploy and ``keep.sh`` of the timer."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.coolify.control_host import STATE_SCRIPTS
from pyinfra_gvisor.coolify.files import ENTRY, KEEPER, MOUNTS, PATCHER, REDEPLOYS, TIMER
from tests.table import table
from tests.unit.coolify.coolify_scripts import RUN_DIR, SECRET, WORKS, Factory
from tests.unit.shells import held, stub

NO_ANSWER = "echo; echo 'WARNING: a' >&2; echo 'Cannot connect' >&2; exit 1"
ODD = "services:\r\n  c: $(id) '%s' \u00fc"
LONG = "# " + "x" * 5000 + "\n\n\n"


def write(path: Path, data: bytes = b"") -> None:
    """Write a file and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_running_coolify_is_asked_by_the_patcher_and_read(factory: Factory) -> None:
    factory.container(mounts=MOUNTS)
    factory.php("state", "WARNING: no config", "function patched", WORKS, "end")
    write(factory.at(REDEPLOYS), b"abc\ndef\n")

    found = factory.state()

    assert found.container.image == "ghcr.io/coollabsio/coolify:4.3.11"
    assert found.container.running
    assert found.source_dir
    assert [f"{item.source}:{item.target}:ro" for item in found.container.mounts] == list(MOUNTS)
    assert (found.function.state, found.function.honours) == ("patched", True)
    assert found.redeploys == {"abc", "def"}
    assert found.init == Path("/proc/1/comm").read_text().strip()
    assert (factory.stubs / "sent.state").read_text() == factory.patcher


def test_a_host_without_docker_and_without_coolifys_files_is_told(factory: Factory) -> None:
    (factory.path / "docker").unlink()
    factory.source.rmdir()

    ran = factory.look()
    found = factory.state()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (found.docker, found.docker_error, found.container) == (False, None, None)
    assert not found.source_dir


@table(
    "make, error, is_there",
    docker_does_not_answer=(lambda host: host.says("version", NO_ANSWER), "Cannot connect", False),
    no_coolify=(lambda host: (host.stubs / "image").unlink(), None, False),
    gone_while_it_is_looked_at=(lambda host: host.says("gone", ""), None, False),
    stopped=(lambda host: host.container(running=False), None, True),
)
def test_a_docker_that_runs_no_coolify_is_told_in_one_line_and_none_is_asked(
    factory: Factory, make: Callable[[Factory], object], error: str | None, is_there: bool
) -> None:
    make(factory)

    found = factory.state()

    assert (found.docker, found.docker_error) == (True, error)
    assert (found.container and found.container.running) is (False if is_there else None)
    assert (found.function, found.function_error, factory.told("verbs")) == (None, None, [])


@table(
    "does, error",
    last_of_two_lines=("echo one; echo 'no php' >&2; exit 127", "no php"),
    cut=(f"echo {'x' * 400} >&2; exit 1", "x" * 300),
    answer_without_its_end=("echo function patched; exit 0", None),
    killed=("kill -9 $$", "no answer within 120 s, or killed"),
)
def test_a_patcher_that_fails_is_told_in_one_line_and_says_nothing_else(
    factory: Factory, does: str, error: str | None
) -> None:
    factory.says("php.state", does)

    found = factory.state()

    assert (found.function, found.function_error) == (None, error)
    assert found.container is not None


@table(
    "make, state, text",
    absent=(lambda _: None, "absent", None),
    a_directory=(Path.mkdir, "unreadable", None),
    a_link_to_nothing=(lambda path: path.symlink_to("nowhere"), "unreadable", None),
    not_utf_8=(lambda path: path.write_bytes(b"\xff\xfe"), "not utf-8", None),
    empty=(Path.touch, "text", ""),
    odd_characters_no_newline=(lambda path: path.write_bytes(ODD.encode()), "text", ODD),
    long=(lambda path: path.write_text(LONG), "text", LONG),
)
def test_a_compose_file_is_read_to_the_byte_or_told_as_what_it_is(
    factory: Factory, make: Callable[[Path], object], state: str, text: str | None
) -> None:
    make(factory.compose)

    found = factory.state().compose

    assert (found.state, found.text) == (state, text)
    assert text is None or found.sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.root
def test_files_of_ours_are_told_with_mode_and_owner(factory: Factory) -> None:
    factory.at(PATCHER).unlink()
    for path in (ENTRY, KEEPER):
        write(factory.at(path), path.encode())
    factory.at(ENTRY).chmod(0o700)
    os.chown(factory.at(ENTRY), 9999, 0)

    found = factory.state().files

    entry, keeper = (found.pop(str(factory.at(path))) for path in (ENTRY, KEEPER))
    assert (entry.mode, entry.owner, keeper.mode, keeper.owner) == ("700", "9999:0", "644", "0:0")
    assert entry.sha256 == hashlib.sha256(ENTRY.encode()).hexdigest()
    assert found == {}


@table(
    "link, file, active, expected",
    on=(True, True, "active", (True, "active")),
    off=(False, True, "inactive", (False, "inactive")),
    somebody_removed_the_file=(True, False, "active", (True, None)),
)
def test_the_timer_is_told_as_systemd_has_it(
    factory: Factory, link: bool, file: bool, active: str, expected: tuple[bool, str | None]
) -> None:
    timer = factory.at(TIMER)
    wants = timer.parent / "timers.target.wants"
    wants.mkdir()
    if link:
        (wants / timer.name).symlink_to(timer)
    if file:
        write(timer)
    factory.systemctl(active)

    found = factory.state()

    assert (found.timer_enabled, found.timer) == expected


def test_looking_changes_nothing_and_the_containers_environment_does_not_leave_the_host(
    factory: Factory,
) -> None:
    write(factory.at(REDEPLOYS), b"abc\n")
    write(factory.at(TIMER))
    factory.compose.write_text("services:\n")
    whole = factory.run("docker container inspect --format '{{json .}}' coolify")
    before = factory.tree()
    # nor does it elsewhere: it calls no program that writes, and no output goes to a file
    for name in ("chmod", "chown", "cp", "mkdir", "mktemp", "mv", "rm", "sync"):
        stub(factory.path, name, f"echo {name} >> {factory.stubs}/wrote")
    text = re.sub(r"^ *#.*$", "", script(*STATE_SCRIPTS), flags=re.MULTILINE)

    ran = factory.look()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (factory.tree(), factory.told("wrote")) == (before, [])
    assert set(re.findall(r">+\|? *(\S+?)[;)]*(?:\s|$)", text)) == {"/dev/null", "&1", "&2"}
    assert SECRET in whole.stdout
    assert SECRET not in ran.stdout


SAID = "coolify.runtime_option: coolify on factory: "
REFUSED = "docker.php: php -l: odd; nothing was changed"
STALE = "worker 11 1.25 php artisan horizon\nstale 11"
UNSAFE = "Coolify does not honour --runtime; new deployments run directly on the host kernel"
LOST = "Coolify did not honour --runtime any more; it was patched again and honours --runtime now"
OLD_CODE = "Horizon still runs old code; new deployments may run directly on the host kernel"
AGAIN = "run pyinfra-gvisor apply --deploy coolify"
UNCHECKED = "cannot check that Coolify honours --runtime"
DROPS = "Coolify knows --runtime, but does not pass it on to Docker"


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    """A control host whose Coolify drops the option until now, with what the timer runs."""
    found = Factory(tmp_path)
    found.container()
    found.php("apply", "changed yes", "function patched", WORKS, "end")
    found.php("remove", "changed yes", "function unpatched", "end")
    found.php("renew", "asked no", "function patched", WORKS, "end")
    found.php("state", "function patched", WORKS, "end")
    found.at(PATCHER).parent.mkdir(parents=True)
    found.at(PATCHER).write_text(found.patcher)
    return found


@pytest.mark.parametrize("verb", ["apply", "remove"])
def test_the_source_is_changed_and_then_horizon_is_renewed(factory: Factory, verb: str) -> None:
    before = factory.files()

    ran = factory.option(verb)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert factory.told("verbs") == [verb, "renew", "state"]
    for asked in (verb, "renew", "state"):
        assert (factory.stubs / f"sent.{asked}").read_text() == factory.patcher
    assert factory.files() == {*before, f"{RUN_DIR}/coolify.lock"}


@table(
    "verb, does, told",
    source=("apply", f"echo one; echo '{REFUSED}' >&2; exit 3", f"apply: {REFUSED}"),
    no_answer=("apply", "exec sleep 20", "apply: no answer within 0.3 s, or killed"),
    horizon=(
        "renew",
        "echo 'no redis' >&2; exit 4",
        "Coolify's web pages run the new code, but Horizon does not: no redis; run again",
    ),
)
def test_what_cannot_be_changed_or_renewed_fails_and_nothing_else_is_asked(
    factory: Factory, verb: str, does: str, told: str
) -> None:
    factory.says(f"php.{verb}", does)
    soon = {"coolify_timeout_s=120": "coolify_timeout_s=0.3"}

    ran = factory.option(changes=soon if "sleep" in does else {})

    assert (ran.returncode, ran.stderr) == (1, f"{SAID}{told}\n")
    assert factory.told("verbs")[-1] == verb


def test_a_horizon_that_comes_anew_is_waited_for_but_not_one_with_deployments_to_end(
    factory: Factory,
) -> None:
    clock, new = factory.stubs / "clock", factory.stubs / "new"
    factory.says("php.state", f"[ -e {new} ] || echo '{STALE}'; : > {new}; echo end")
    came = factory.option(changes={"sleep 1": "sleep 0"})
    asked = ["apply", "renew", "state", "state"]
    assert factory.told("verbs") == asked
    clock.write_text("1000")
    stub(factory.path, "date", f"now_s=$(cat {clock}); echo $((now_s + 10)) > {clock}; cat {clock}")
    factory.php("state", "function patched", STALE, "end")

    ran = factory.option(changes={"sleep 1": "sleep 0"})

    assert (came.returncode, came.stdout) == (0, "")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "Horizon ends its running deployments first, and loads the new code then\n"
    assert factory.told("verbs") == [*asked, *asked, "state"]


def test_one_that_is_at_it_for_too_long_is_told_and_a_look_leaves_it_alone(
    factory: Factory,
) -> None:
    with held(factory.lock):
        ran = factory.option(changes={"flock -w 300": "flock -w 0"})
        look = factory.keep(changes={"flock -w 60": "flock -w 0"})

    assert (ran.returncode, factory.told("verbs")) == (1, [])
    said = f"another process has held {factory.lock} for 300 s; run again"
    assert ran.stderr == f"{SAID}{said}\n"
    assert (look.returncode, look.stdout, look.stderr) == (0, "", "")


@table(
    "make, expected",
    honoured=(
        lambda host: host.php("apply", "changed no", "function patched", WORKS, "end"),
        (0, "", ["apply"]),
    ),
    lost=(lambda _: None, (0, f"<5>{LOST}\n", ["apply"])),
    old_horizon=(
        lambda host: host.php("apply", "changed no", WORKS, STALE, "end"),
        (0, "", ["apply", "renew"]),
    ),
    no_coolify=(
        lambda host: (host.stubs / "image").unlink(),
        (0, "<5>there is no container coolify: nothing to check\n", []),
    ),
    stopped=(
        lambda host: host.container(running=False),
        (0, "<5>container coolify does not run: nothing to check\n", []),
    ),
    refused=(
        lambda host: host.says("php.apply", f"echo one; echo '{REFUSED}' >&2; exit 3"),
        (1, f"<3>{UNSAFE}: {REFUSED}\n", ["apply"]),
    ),
    another_answer=(
        lambda host: host.php("apply", "changed no", 'probe {"runtime":["runscprobe"]}', "end"),
        (1, f'<3>{DROPS}: it answers {{"runtime":["runscprobe"]}}\n', ["apply"]),
    ),
    no_answer_of_the_function=(
        lambda host: host.php("apply", "changed no", "probe_error Error: no class", "end"),
        (1, f"<3>{DROPS}: Error: no class\n", ["apply"]),
    ),
    horizon_cannot_be_renewed=(
        lambda host: [
            host.php("apply", "changed yes", "function patched", WORKS, STALE, "end"),
            host.says("php.renew", "echo 'no redis' >&2; exit 4"),
        ],
        (1, f"<5>{LOST}\n<3>{OLD_CODE}: no redis\n", ["apply", "renew"]),
    ),
    no_patcher=(
        lambda host: host.at(PATCHER).unlink(),
        (1, f"<3>{UNCHECKED}: {PATCHER} is missing; {AGAIN}\n", []),
    ),
)
def test_a_look_says_in_one_line_what_it_did_or_who_has_no_sandbox(
    factory: Factory, make: Callable[[Factory], object], expected: tuple[int, str, list[str]]
) -> None:
    make(factory)
    before = factory.files()

    ran = factory.keep()

    said = ran.stdout.replace(str(factory.top), "")
    assert (ran.returncode, said, factory.told("verbs")) == expected
    assert ran.stderr == ""
    assert all(file.read_text() == factory.patcher for file in factory.stubs.glob("sent.*"))
    assert factory.files() - before <= {f"{RUN_DIR}/coolify.lock"}
