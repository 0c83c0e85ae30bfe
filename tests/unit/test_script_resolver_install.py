"""``parts/resolver/install.sh``: all of it is there and runs, or the next run mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.resolver_host import METRICS, UNIT, Host
from tests.unit.shells import stub

STARTED = ["enable --quiet socket", "start socket", "restart service"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node without a resolver."""
    return Host(tmp_path)


def as_wanted(host: Host, **wanted: str) -> None:
    """Check that everything is there, runs as it was sent, and that nothing else is."""
    files = host.wanted(**wanted)
    assert host.files() == {**files, str(host.link): "link"}
    assert host.states() == {"socket": "active", "service": "active"}
    assert host.running() == {Path(path).name: text for path, text in files.items() if text}
    for path in files:
        assert Path(path).stat().st_mode & 0o777 == 0o644


def test_every_file_is_there_as_it_was_sent_and_the_sockets_before_the_program(host: Host) -> None:
    ran = host.install()

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    as_wanted(host)
    assert host.told() == ["daemon-reload", "stop service socket", *STARTED]


def test_another_program_is_started_and_the_sockets_stay_open(host: Host) -> None:
    host.install()
    host.told()

    ran = host.install(program="another")

    assert ran.returncode == 0
    as_wanted(host, program="another")
    assert host.told() == ["daemon-reload", *STARTED]


def test_other_sockets_are_opened_anew(host: Host) -> None:
    host.install()
    host.told()

    ran = host.install(socket="2")

    assert ran.returncode == 0
    as_wanted(host, socket="2")
    assert host.told() == ["daemon-reload", "stop service socket", *STARTED]


@pytest.mark.parametrize(
    "state", [pytest.param("failed", id="failed"), pytest.param("activating", id="activating")]
)
def test_sockets_that_do_not_listen_are_opened_beside_no_program_that_runs(
    host: Host, state: str
) -> None:
    host.install()
    host.told()
    host.unit("socket", state)

    ran = host.install()

    assert ran.returncode == 0
    as_wanted(host)
    assert host.told() == ["daemon-reload", "stop service socket", *STARTED]


def test_what_does_not_belong_there_is_gone(host: Host) -> None:
    host.install()
    (host.program / "asyncio.py").write_text("evil")
    (host.program / "pyinfra_gvisor" / "link.py").symlink_to("/nowhere")
    (host.program / "more").mkdir()

    ran = host.install()

    assert ran.returncode == 0
    as_wanted(host)
    assert not (host.program / "more").exists()


@pytest.mark.parametrize("first", [pytest.param(True, id="first"), pytest.param(False, id="later")])
@pytest.mark.parametrize(
    "step",
    [
        pytest.param("daemon-reload", id="reload"),
        pytest.param("stop", id="stop"),
        pytest.param("enable", id="enable"),
        pytest.param("start", id="start"),
        pytest.param("restart", id="restart"),
    ],
)
def test_a_run_that_breaks_off_leaves_a_file_too_many_and_the_next_one_mends_it(
    host: Host, step: str, first: bool
) -> None:
    if not first:
        host.install(program="old", socket="old")

    broken = host.install(breaks=step)
    left = host.files()
    again = host.install()

    assert broken.returncode == 1
    assert f"no {step}" in broken.stderr
    assert str(host.program / "unfinished") in left
    assert (again.returncode, again.stderr) == (0, "")
    as_wanted(host)


def test_a_run_that_is_killed_while_it_writes_is_mended_too(host: Host) -> None:
    host.install(program="old", socket="old")
    (host.path / "mv").rename(host.path / "real-mv")
    stub(host.path, "mv", f"case $2 in *.socket) kill -9 $PPID ;; esac; {host.path}/real-mv $*")

    killed = host.install()
    left = host.files()
    (host.path / "real-mv").rename(host.path / "mv")
    again = host.install()

    assert killed.returncode == -9
    assert str(host.program / "unfinished") in left
    assert again.returncode == 0
    as_wanted(host)


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        pytest.param(
            "start", "port 53 on run-1: the resolver cannot listen on this port: ", id="port-taken"
        ),
        pytest.param(
            "restart",
            "pyinfra-gvisor-resolver.service on run-1: this service does not start: ",
            id="program",
        ),
    ],
)
def test_what_does_not_start_is_told_with_what_was_said(host: Host, breaks: str, told: str) -> None:
    ran = host.install(breaks=breaks)

    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        f"resolver.resolver: {told}Failed to listen: Address in use"
    )


def test_a_directory_for_metrics_that_is_not_there_is_told_before_anything_is_done(
    host: Host,
) -> None:
    ran = host.install(text=f"{host.root}/nowhere")

    assert ran.returncode == 1
    assert ran.stderr == (
        f"resolver.resolver: {host.root}/nowhere on run-1: this directory does not exist; "
        "create it, or remove gvisor_textfile_dir\n"
    )
    assert (host.files(), host.told()) == ({}, [])
    assert not host.program.exists()


def test_metrics_that_go_elsewhere_or_nowhere_are_not_left_to_grow_old(host: Host) -> None:
    old, new = host.texts / "old", host.texts / "new"
    for directory in (old, new):
        directory.mkdir()
        (directory / "other.prom").write_text("")
        (directory / METRICS).write_text("")
        (directory / f".{METRICS}.new").write_text("")
    others = {f"{directory}/other.prom": "" for directory in (old, new)}

    host.install(text=str(old))
    host.install(text=str(old))
    kept = (old / METRICS).exists()
    host.install(text=str(new))
    moved = [path.exists() for path in (old / METRICS, new / METRICS)]
    ran = host.install()

    assert (kept, moved, ran.returncode) == (True, [False, True], 0)
    assert host.files() == {**host.wanted(), **others, str(host.link): "link"}


def test_a_unit_that_somebody_wrote_has_no_file_of_others_removed(host: Host) -> None:
    other = host.texts / "other.prom"
    other.write_text("")
    (host.units / f"{UNIT}.service").write_text(f"ExecStart=x --textfile={other}\n")

    ran = host.install()

    assert ran.returncode == 0
    assert other.exists()
