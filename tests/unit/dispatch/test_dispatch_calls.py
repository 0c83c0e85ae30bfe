"""The calls of containerd's shim: who gets them, and the marks by which the dispatcher knows."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import program
from pyinfra_gvisor.judge import calls
from pyinfra_gvisor.judge.links import wish
from pyinfra_gvisor.judge.places import Places
from pyinfra_gvisor.judge.rules import PLUGIN
from tests.table import table
from tests.unit.dispatch.dispatch_files import bind, infrastructure, write_container
from tests.unit.dispatch.judged import ID, Judged, bound
from tests.unit.shells import run

OTHER = f"{8:064x}"
DEFAULT = "gvisordefault"
# containerd/go-runc, runc.go: every call, and the options that come with it.
CALLS = [
    ("state", ID),
    ("start", ID),
    ("exec", "--process", "/tmp/runc-process1", "--detach", "--pid-file", "/b/1.pid", ID),
    (
        "exec",
        "--process",
        "/tmp/p",
        "--console-socket",
        "/tmp/pty1/pty.sock",
        "--pid-file",
        "/b",
        ID,
    ),
    ("kill", ID, "9"),
    ("kill", "--all", ID, "15"),
    ("events", "--stats", ID),
    ("events", "--interval=5s", ID),
    ("pause", ID),
    ("resume", ID),
    ("ps", "--format", "json", ID),
    ("ps", "--format", "table", ID, "-ef"),
    ("checkpoint", "--image-path", "/i", "--work-path", "/w", "--leave-running", ID),
    ("update", "--resources=-", ID),
    ("update", "--resources", "-", ID),
    ("delete", ID),
    ("delete", "--force", ID),
]
FLAGS = [
    ("--root /r --log /l --log-format json", "/l"),
    ("--root /r --debug --log /l --log-format json --systemd-cgroup", "/l"),
    ("--root=/r --log=/l --log-format=json --rootless=true", "/l"),
    ("--root /r --rootless=false", ""),
    ("--systemd-cgroup --root /r --debug", ""),
]


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node whose policy accepts the container that ``write_container`` makes."""
    found = Judged(tmp_path, None, infrastructure())
    found.is_whole = True
    return found


def started(node: Judged) -> str:
    """Return the name of the runtime that was started last, and forget it."""
    path = node.root / "started"
    text = path.read_text()
    path.unlink()
    return text.split()[0]


def sandbox(node: Judged) -> None:
    """Create a container that runs in the sandbox."""
    node.container(image="app:1", others={"Image": f"sha256:{9:064x}"})
    node.spec()
    assert node.create(DEFAULT) == "runsc"
    started(node)


def outside(node: Judged) -> None:
    """Create a container that the policy names."""
    assert node.made(runtime=DEFAULT) == "runc"
    started(node)


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=f"{number}-{words[0]}") for number, words in enumerate(CALLS)]
)
def test_every_call_reaches_the_runtime_that_was_chosen(
    node: Judged, words: tuple[str, ...]
) -> None:
    sandbox(node)
    node.call(*words, runtime=DEFAULT)
    first = started(node)
    (node.marks / ID).unlink(missing_ok=True)
    (node.marks / ID).symlink_to(node.path / "runc")

    node.call(*words, runtime=DEFAULT)

    assert (first, started(node)) == ("runsc", "runc")


@pytest.mark.parametrize(
    ("flags", "log"),
    [pytest.param(flags, log, id=f"{number}") for number, (flags, log) in enumerate(FLAGS)],
)
@pytest.mark.parametrize(
    "command", [pytest.param(name, id=name) for name in ("create", "start", "features")]
)
def test_the_command_is_found_after_any_flags_of_go_runc(
    flags: str, log: str, command: str
) -> None:
    text = program("dispatch/call.sh").partition("\nfor id;")[0]

    ran = run(f'{text}\necho "$command $root $log"', *flags.split(), command, "--bundle", "b", "i")

    assert ran.stdout == f"{command} /r {log}\n"


@pytest.mark.parametrize("word", [pytest.param(word, id=word) for word in ("run", "restore")])
def test_whatever_makes_a_container_is_judged(node: Judged, word: str) -> None:
    source = node.root / "secret"
    source.mkdir()
    node.container(others={"Image": f"sha256:{9:064x}"}, mounts={"/x": bind(source)})
    node.spec(bound(source, "/x"))

    said = node.create(DEFAULT, command=word)

    assert said.startswith("refused: a sandbox may not have: mount of ")


def test_a_sandbox_of_the_default_runtime_is_judged_once(node: Judged) -> None:
    judge = node.wrapper["judge"]
    counts = f'open("{node.root}/count", "a").write("judged\\n")\n'
    judge.write_text(counts + judge.read_text())

    sandbox(node)

    assert (node.root / "count").read_text() == "judged\n"


def test_a_container_judged_before_is_no_pass_for_another_one(node: Judged) -> None:
    node.container(host={"Privileged": True})
    node.spec()
    node.environment = {"pyinfra_gvisor_judged": OTHER}

    assert node.create().startswith("refused: a sandbox may not have: privileged")


def test_a_sandbox_whose_wrapper_is_missing_is_not_called_by_runc(node: Judged) -> None:
    sandbox(node)
    (node.marks / ID).unlink()
    (node.marks / ID).symlink_to("/opt/gvisor/runtimes/gone")

    ran = node.call("delete", "--force", ID, runtime=DEFAULT)

    assert not (node.root / "started").exists()
    assert "gone is missing or not executable, so this container cannot be reached" in str(ran)
    assert (node.marks / ID).is_symlink()


def test_runc_is_where_the_program_in_its_place_has_found_it(node: Judged) -> None:
    outside(node)
    aside = node.root / "elsewhere"
    aside.write_text(f'#!/bin/sh\necho aside "$@" > {node.root}/started\n')
    aside.chmod(0o755)
    node.environment["pyinfra_gvisor_runc"] = str(aside)

    node.call("start", ID, runtime=DEFAULT)

    assert started(node) == "aside"


def test_the_mark_goes_with_the_container(node: Judged) -> None:
    sandbox(node)

    node.call("delete", ID, runtime=DEFAULT)

    assert not (node.marks / ID).is_symlink()


def test_the_mark_stays_if_the_runtime_cannot_delete(node: Judged) -> None:
    sandbox(node)
    node.runs("runsc", then="exit 5")

    assert node.call("delete", ID, runtime=DEFAULT).returncode == 5
    assert (node.marks / ID).is_symlink()


def test_two_containers_have_two_marks(node: Judged) -> None:
    outside(node)
    (node.marks / OTHER).symlink_to(node.wrapper["gvisor"])

    node.call("kill", OTHER, "9", runtime=DEFAULT)
    first = started(node)
    node.call("kill", ID, "9", runtime=DEFAULT)

    assert (first, started(node)) == ("runsc", "runc")


@table("is_sandbox", runsc=True, runc=False)
def test_without_marks_what_runsc_keeps_on_disk_tells(node: Judged, *, is_sandbox: bool) -> None:
    if is_sandbox:
        (node.state / f"{ID}_sandbox:{ID}.state").touch()

    node.call("kill", ID, "9", runtime=DEFAULT)

    assert started(node) == ("runsc" if is_sandbox else "runc")


def test_a_container_that_is_refused_leaves_no_mark(node: Judged) -> None:
    node.made(runtime=DEFAULT, others={"Image": f"sha256:{9:064x}"}, host={"Privileged": True})

    assert not node.marks.exists()


def test_marks_of_removed_containers_are_collected_when_they_are_old(node: Judged) -> None:
    node.marks.mkdir(parents=True)
    kept = write_container(node.data, 5)
    ids = {"old": OTHER, "young": f"{6:064x}", "kept": kept}
    for identity in ids.values():
        (node.marks / identity).symlink_to(node.wrapper["gvisor"])
    for name in ("old", "kept"):
        past = time.time() - 700
        os.utime(node.marks / ids[name], (past, past), follow_symlinks=False)

    sandbox(node)

    assert {path.name for path in node.marks.iterdir()} == {ids["young"], kept, ID}


def test_marks_that_cannot_be_written_refuse(node: Judged) -> None:
    node.container()
    node.spec()
    (node.root / "run").write_text("")

    said = node.create(DEFAULT)

    told = f"refused: {node.marks} cannot be written; "
    assert said == f"{told}check that it is a directory and that /run has space"


def test_a_wrapper_that_is_no_program_refuses_and_leaves_no_mark(node: Judged) -> None:
    node.container(others={"Image": f"sha256:{9:064x}"})
    node.spec()
    wrapper = node.wrapper["gvisor"]
    wrapper.chmod(0o644)
    first = node.create(DEFAULT)
    wrapper.unlink()

    second = node.create(DEFAULT)

    told = f"refused: {wrapper} is missing or not executable, so this container was not started"
    assert first == second == f"{told}; run pyinfra-gvisor apply"
    assert not node.marks.exists()


def test_a_container_of_ours_with_a_permit_runs_where_the_permit_says(node: Judged) -> None:
    node.container(others={"Image": f"sha256:{9:064x}"}, host={"Privileged": True})
    node.spec()
    node.permit("runc\n")
    first = node.create(DEFAULT)
    started(node)
    node.permit("unsealed\n")

    assert (first, node.create(DEFAULT), node.create()) == ("runc", "runsc", "runsc")


@pytest.mark.parametrize("where", ["runc", "unsealed"])
def test_only_under_runc_links_are_followed_where_the_node_does_not(
    node: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    volumes, other = tmp_path / "volumes", tmp_path / "other"
    volumes.mkdir()
    other.mkdir()
    table = tmp_path / "mountinfo"
    line = "{} 1 8:1 {} {} rw,relatime{} shared:1 - ext4 /dev/sda1 rw\n"
    mounts = line.format(1, "/", "/", "") + line.format(2, volumes, volumes, ",nosymfollow")
    table.write_text(mounts)
    monkeypatch.setattr(calls, "Places", lambda: Places(str(table)))
    given = [
        {"type": "bind", "source": str(path), "destination": f"/{path.name}", "options": ["rbind"]}
        for path in (volumes, other)
    ]
    node.container(others={"Image": f"sha256:{9:064x}"})
    spec = node.spec(*given)
    node.permit(f"{where}\n")

    node.decided("create", "--bundle", str(node.bundle), ID, runtime=DEFAULT)

    expected = json.loads(spec)
    if where == "runc":
        (mount,) = (item for item in expected["mounts"] if item["source"] == str(volumes))
        mount["options"] += ["symfollow", "relatime"]
    assert json.loads(node.text()) == expected


def asked_by_docker(node: Judged, daemon: Mapping[str, Any], *, takes_runc: bool = False) -> None:
    """Have dockerd ask, and with ``takes_runc`` our program in the place of runc."""
    path = node.root / "daemon.json"
    written = json.loads(path.read_text())
    written["runtimes"]["crun"] = {"path": "/usr/bin/crun"}
    given = {"authorization-plugins": [PLUGIN], "default-runtime": DEFAULT, **written, **daemon}
    path.write_text(json.dumps(given))
    if takes_runc:
        wrapper = node.wrapper[DEFAULT]
        text = wrapper.read_text()
        wrapper.write_text(text.replace('"takes_runc":false', '"takes_runc":true'))
        assert text != wrapper.read_text()


@table(
    "takes_runc, in_place, daemon, wished",
    by_name=(False, True, {}, "followed above crun old"),
    runc_too=(True, True, {}, "followed crun"),
    runc_not_yet=(True, False, {}, "followed above crun old"),
    not_asked=(True, True, {"authorization-plugins": ["other"]}, "unwanted"),
    no_default=(True, True, {"default-runtime": "runc"}, "unwanted"),
)
def test_links_are_the_containers_own_where_the_judge_is_asked_about_all(
    tmp_path: Path, takes_runc: bool, in_place: bool, daemon: dict[str, Any], wished: str
) -> None:
    node = Judged(tmp_path, door="refuse")
    asked_by_docker(node, daemon, takes_runc=takes_runc)
    for name, text in {"program": "ours", "places": f"{tmp_path}/runc\n"}.items():
        (tmp_path / "divert").mkdir(exist_ok=True)
        (tmp_path / "divert" / name).write_text(text)
    (tmp_path / "runc").write_text("ours" if in_place else "runc itself")
    volume = {"/x": {"Type": "volume", "Name": "v", "Driver": "local", "RW": True}}
    given = {
        "old": ("runc", volume),
        "above": ("runc", {"/x": bind(node.data)}),
        "crun": ("crun", volume),
        "by-default": (DEFAULT, volume),
        "sandbox": ("gvisor", volume),
        "cannot-start": ("gone", volume),
        "no-volume": ("runc", {"/x": bind("/srv"), "/y": {"Type": "tmpfs", "RW": True}}),
    }
    for number, (name, (runtime, mounts)) in enumerate(given.items(), 20):
        write_container(node.data, number, name=name, host={"Runtime": runtime}, mounts=mounts)
    (node.data / "containers" / f"{30:064x}").mkdir()  # Docker does not know it either

    assert wish(str(node.data), node.paths) == wished


def test_without_such_containers_links_are_not_followed_and_a_damaged_one_counts(
    tmp_path: Path,
) -> None:
    node = Judged(tmp_path, door="refuse")
    asked_by_docker(node, {})
    before = wish(str(node.data), node.paths)
    damaged = write_container(node.data, 1, host={"Runtime": "runc"})
    (node.data / "containers" / damaged / "config.v2.json").write_text("")

    assert (before, wish(str(node.data), node.paths)) == ("wanted", f"followed {damaged[:12]}")


def test_a_directory_with_the_name_of_runc_is_no_program(node: Judged) -> None:
    node.container()
    node.spec()
    (node.path / "runc.pyinfra-gvisor").mkdir()

    assert node.create(DEFAULT) == "runc"


def test_a_permit_for_runc_breaks_no_seal_of_a_named_runtime(node: Judged) -> None:
    node.container(host={"Privileged": True})
    node.spec()
    node.permit("runc\n")

    assert node.create().startswith("refused: a sandbox may not have: privileged")


@table(
    "words",
    nothing=(),
    features=("features",),
    version=("--version",),
    list=("list",),
)
def test_calls_that_are_about_no_container_go_to_runsc(
    node: Judged, words: tuple[str, ...]
) -> None:
    node.call(*words, runtime=DEFAULT)

    assert started(node) == "runsc"
