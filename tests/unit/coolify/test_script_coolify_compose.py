"""``coolify/install.sh`` and ``remove.sh``: files, docker-compose.custom.yml and the timer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyinfra_gvisor.coolify import files
from tests.table import table
from tests.unit.coolify.coolify_answers import OURS
from tests.unit.coolify.coolify_scripts import SECRET, UNITS, Factory, Ran
from tests.unit.shells import stub

SAID = "coolify.persistence: {compose} on factory: "
THEIRS = "services:\n  coolify:\n    labels: ['\u00fc=1']  # $(id)\n"
MERGED = THEIRS + "    volumes:\n"
pytestmark = pytest.mark.root  # its files belong to the user of Coolify's containers
EDITED = "# somebody's edit\n"
OWN = ("docker-compose.yml", "docker-compose.prod.yml")
STARTED = ["daemon-reload", f"enable --quiet {files.NAME}.timer", f"restart {files.NAME}.timer"]
REFUSES_NEW = "case \"$*\" in *.new*) echo 'WARN: a' >&2; echo 'no such mount' >&2; exit 1 ;; esac"
STOPPED = [f"disable --quiet --now {files.NAME}.timer", "daemon-reload"]


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    """A control host with Coolify's own files, and a compose that takes everything."""
    found = Factory(tmp_path)
    for name in OWN:
        (found.source / name).write_text("services: {}\n")
    (found.source / ".env").write_text(f"DB_PASSWORD={SECRET}\n")
    os.chown(found.source, 9999, 0)
    found.says("compose", "exit 0")
    return found


def lies(path: Path) -> str:
    """Mode, user and group."""
    found = path.stat()
    return f"{found.st_mode & 0o777:o}:{found.st_uid}:{found.st_gid}"


def theirs(factory: Factory) -> None:
    """Have somebody's docker-compose.custom.yml."""
    factory.compose.write_text(THEIRS)
    factory.compose.chmod(0o640)
    os.chown(factory.compose, 1234, 4321)


def test_every_file_is_there_as_it_was_sent_and_the_timer_is_started(factory: Factory) -> None:
    before = factory.files()

    ran = factory.install(None, MERGED)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert factory.files() == {*before, *files.paths(), files.COMPOSE}
    for item in OURS:
        assert lies(factory.at(item.path)) == f"{item.mode}:0:0"
    assert factory.at(files.MOUNTED_PATCHER).read_text() == factory.patcher
    assert (factory.compose.read_text(), lies(factory.compose)) == (MERGED, "644:9999:0")
    assert factory.told("systemctl") == STARTED


@table("compose", takes_it="exit 0", refused_the_files_before_too="echo broken >&2; exit 1")
def test_a_compose_file_keeps_its_mode_and_owner(factory: Factory, compose: str) -> None:
    theirs(factory)
    factory.says("compose", compose)

    ran = factory.install(THEIRS, MERGED)

    assert (ran.returncode, ran.stderr, factory.compose.read_text()) == (0, "", MERGED)
    assert lies(factory.compose) == "640:1234:4321"


def test_what_is_mounted_is_there_before_it_is_mounted(factory: Factory) -> None:
    moves = factory.stubs / "moves"
    real = (factory.tools / "mv").resolve()
    stub(factory.path, "mv", f'echo "$2" >> {moves}; exec {real} "$@"')

    factory.install(None, MERGED)

    moved = [path.removeprefix(str(factory.top)) for path in moves.read_text().splitlines()]
    assert moved == [*files.paths(), files.COMPOSE]


def test_a_file_that_is_as_it_has_to_be_is_not_touched_and_no_docker_without_compose_asked(
    factory: Factory,
) -> None:
    theirs(factory)
    before = factory.tree()[files.COMPOSE]

    first = factory.install(THEIRS, THEIRS)
    last = factory.remove(THEIRS, THEIRS)
    after = factory.tree()[files.COMPOSE]
    factory.compose.unlink()
    (factory.stubs / "compose").unlink()
    ran = factory.install(None, MERGED)

    assert (first.returncode, last.returncode, after) == (0, 0, before)
    assert (ran.returncode, ran.stderr, factory.told("composed")) == (0, "", [])
    assert factory.compose.read_text() == MERGED


@table("act", install=Factory.install, remove=Factory.remove)
@table(
    "was, now, text",
    changed=(THEIRS, EDITED, MERGED),
    changed_and_to_be_kept=(THEIRS, EDITED, THEIRS),
    changed_and_to_be_removed=(THEIRS, EDITED, None),
    removed=(THEIRS, None, MERGED),
    made=(None, EDITED, MERGED),
)
def test_a_compose_file_that_is_not_as_it_was_read_stops_it_before_anything_is_written(
    factory: Factory, act: Callable[..., Ran], was: str | None, now: str | None, text: str | None
) -> None:
    if now is not None:
        factory.compose.write_text(now)
    factory.at(files.TIMER).write_text("")
    before = factory.tree()

    ran = act(factory, was, text)

    said = "the file has changed since it was read; it is left unchanged. Run again\n"
    gone = "the file has been removed since it was read; run again\n"
    assert ran.returncode == 1
    assert ran.stderr == SAID.format(compose=factory.compose) + (said if now else gone)
    assert (factory.tree(), factory.told("systemctl")) == (before, [])


def test_an_edit_while_compose_is_asked_is_not_lost(factory: Factory) -> None:
    theirs(factory)
    factory.says("compose", f'echo "{EDITED.strip()}" > {factory.compose}')

    ran = factory.install(THEIRS, MERGED)

    assert ran.returncode == 1
    assert "the file has changed since it was read; it is left unchanged. Run again" in ran.stderr
    assert (factory.compose.read_text(), factory.told("systemctl")) == (EDITED, [])
    assert [path.name for path in factory.source.glob("*.new")] == []


@table("was", theirs=THEIRS, none=None)
def test_a_text_that_compose_refuses_is_never_written(factory: Factory, was: str | None) -> None:
    if was is not None:
        theirs(factory)
    factory.says("compose", REFUSES_NEW)
    before = factory.tree()

    ran = factory.install(was, MERGED)

    said = "docker compose refuses the files with our change: no such mount; nothing was changed\n"
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == SAID.format(compose=factory.compose) + said
    assert {**factory.tree(), files.SOURCE_DIR: before[files.SOURCE_DIR]} == before
    assert factory.told("systemctl") == []


@table(
    "without, asked",
    all=([], "--env-file .env -f docker-compose.yml -f docker-compose.prod.yml -f {new}"),
    env=([".env"], "-f docker-compose.yml -f docker-compose.prod.yml -f {new}"),
    prod=([OWN[1]], "--env-file .env -f docker-compose.yml -f {new}"),
    ours_alone=([*OWN, ".env"], "-f {new}"),
    of_postgres=([*OWN, ".env"], "-f {new} -f docker-compose.postgres-upgrade.yml"),
)
def test_compose_is_asked_as_upgrades_do(factory: Factory, without: list[str], asked: str) -> None:
    for name in without:
        (factory.source / name).unlink()
    if "postgres" in asked:
        (factory.source / "docker-compose.postgres-upgrade.yml").touch()

    factory.install(None, MERGED)

    composed = [line.replace(f"{factory.source}/", "") for line in factory.told("composed")]
    expected = asked.format(new="docker-compose.custom.yml.new")
    assert composed == [f"latest compose {expected} config -q"]


def test_nothing_of_coolifys_environment_is_told(factory: Factory) -> None:
    env = factory.source / ".env"
    # as the real one, which prints all that it has put together unless it is asked with -q
    loud = f'case "$*" in *" -q") ;; *) cat {env} ;; esac'

    for compose in (f"{loud}; exit 0", f"cat {env}; {REFUSES_NEW}", f"cat {env} >&2; exit 1"):
        factory.says("compose", compose)
        factory.compose.unlink(missing_ok=True)
        ran = factory.install(None, MERGED)

        assert SECRET not in ran.stdout + ran.stderr


def test_a_file_that_cannot_be_written_leaves_compose_and_the_timer_alone(factory: Factory) -> None:
    theirs(factory)
    factory.at(files.KEEP_DIR).parent.mkdir(parents=True)
    factory.at(files.KEEP_DIR).write_text("in the way")

    ran = factory.install(THEIRS, MERGED)

    assert ran.returncode != 0
    assert (factory.compose.read_text(), factory.told("systemctl")) == (THEIRS, [])
    assert not list(factory.source.rglob("*.new"))


@table("text", written=MERGED, removed=None)
def test_what_a_killed_run_left_is_not_used_and_goes(factory: Factory, text: str | None) -> None:
    theirs(factory)
    other = factory.top / "other"
    other.write_text("somebody's\n")
    Path(f"{factory.compose}.new").symlink_to(other)

    ran = factory.install(THEIRS, text)

    assert (ran.returncode, other.read_text()) == (0, "somebody's\n")
    assert not Path(f"{factory.compose}.new").is_symlink()
    assert factory.compose.exists() == (text is not None)


@pytest.fixture
def kept(tmp_path: Path) -> Factory:
    """A control host with our files and the timer on; the compose file has our mounts only."""
    found = Factory(tmp_path)
    ran = found.install(None, MERGED)
    assert ran.returncode == 0, ran.stderr
    wants = found.at(UNITS) / "timers.target.wants"
    wants.mkdir()
    (wants / f"{files.NAME}.timer").symlink_to(found.at(files.TIMER))
    (found.stubs / "systemctl").unlink()
    return found


def test_a_removal_leaves_nothing_and_a_second_one_ends_well_too(kept: Factory) -> None:
    for path in (files.TIMER, files.SERVICE):
        Path(f"{kept.at(path)}.new").write_text("of a run that was killed")

    ran = kept.remove(MERGED, None)
    told = kept.told("systemctl")
    again = kept.remove(None, None)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (told, again.returncode, again.stderr) == (STOPPED, 0, "")
    assert kept.files() == set()
    assert not kept.at(files.MOUNTED_DIR).exists()
    assert not kept.at(files.KEEP_DIR).parent.exists()


def test_what_is_mounted_stays_and_does_nothing_until_it_is_not_mounted(kept: Factory) -> None:
    ran = kept.remove(MERGED, None, mounted=True)
    again = kept.remove(None, None, mounted=True)
    left = kept.files()
    entry, patcher = (kept.at(path).read_text() for path in (files.ENTRY, files.MOUNTED_PATCHER))
    last = kept.remove(None, None)

    assert [item.returncode for item in (ran, again, last)] == [0, 0, 0]
    assert left == {files.ENTRY, files.MOUNTED_PATCHER}
    assert (entry, patcher, kept.files()) == (files.idle_entry_text(), kept.patcher, set())


def test_compose_goes_first_then_the_timer_then_the_files(kept: Factory) -> None:
    seen = kept.stubs / "seen"
    there = " ".join(str(kept.at(path)) for path in (files.COMPOSE, *files.paths()))
    does = f'case "$1" in disable) for path in {there}; do [ ! -e $path ] || echo $path; done'
    kept.systemctl(does=f"{does} > {seen} ;; esac")

    kept.remove(MERGED, None)

    found = [path.removeprefix(str(kept.top)) for path in seen.read_text().splitlines()]
    assert (found, kept.files()) == (list(files.paths()), set())


@table(
    "state, removed, text, told",
    somebody_removed_the_timer=("inactive", True, None, ["daemon-reload"]),
    a_look_failed_and_others_have_a_text=(
        *("failed", False, THEIRS),
        [STOPPED[0], f"reset-failed {files.NAME}.service", STOPPED[1]],
    ),
)
def test_a_timer_is_disabled_and_its_failure_forgotten_and_a_text_of_others_given_back(
    kept: Factory, state: str, removed: bool, text: str | None, told: list[str]
) -> None:
    kept.systemctl(state)
    if removed:
        kept.at(files.TIMER).unlink()

    ran = kept.remove(MERGED, text)

    assert (ran.returncode, kept.files()) == (0, {files.COMPOSE} if text else set())
    assert text is None or kept.compose.read_text() == text
    assert not (kept.at(UNITS) / f"timers.target.wants/{files.NAME}.timer").is_symlink()
    assert kept.told("systemctl") == told


def test_what_else_lies_beside_ours_stays(kept: Factory) -> None:
    others = {
        f"{Path(files.KEEP_DIR).parent}/releases/20260928.0/runsc",
        f"{files.KEEP_DIR}-of-somebody",
        f"{files.MOUNTED_DIR}.old",
        f"{UNITS}/pyinfra-gvisor-watch.timer",
    }
    for path in map(kept.at, others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
    before = kept.tree()

    ran = kept.remove(MERGED, None)

    assert (ran.returncode, kept.files()) == (0, others)
    assert all(kept.tree()[path] == before[path] for path in others)
