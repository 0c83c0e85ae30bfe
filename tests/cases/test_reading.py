"""Facts: read once, kept until something changes, never taken for an empty node, and printed."""

import json
from collections.abc import Generator, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host, ctx_state

from pyinfra_gvisor import facts
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.facts.node import NodeState, forget_node, read_node
from pyinfra_gvisor.operations import docker, gvisor
from tests.arguments import Log
from tests.cases import cli
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.kept import generations, users
from tests.cases.proven import DEFAULTS, PROFILES, RELEASE, SETTINGS, WANTED, proven, proven_answer
from tests.table import table
from tests.unit.answers import END, answer, node
from tests.unit.apps.looked import looked, looked_lines
from tests.unit.audit.audited import app
from tests.unit.coolify.coolify_answers import answer as coolify_answer
from tests.unit.coolify.coolify_answers import container, patched
from tests.unit.dispatch.infrastructure import container as container_of
from tests.unit.dispatch.infrastructure import image, pulled_lines

UNPARSABLE = {
    "not-an-answer": ["sudo: a password is required"],
    "cut-off": answer()[:-1],
    "malformed": answer(page_size="many"),
    "strange-container": [*answer()[:-1], "container []", answer()[-1]],
    "command-failed": Reply(ok=False, stderr=["Connection reset"]),
    "no-output": [],
}


@operation()
def touch(path: str) -> Generator[StringCommand, None, None]:
    """An operation of somebody else that does something."""
    yield StringCommand("touch", path)


@operation()
def idle(reason: str) -> Generator[StringCommand, None, None]:
    """An operation of somebody else that does nothing."""
    yield from ()


def add_all(fleet: Fleet) -> None:
    """What the deploy does, in its order."""
    fleet.add(docker.engine, "present")
    fleet.add(gvisor.release, RELEASE, archive=SETTINGS.archive)
    fleet.add(gvisor.runtimes, RELEASE, profiles=PROFILES)
    fleet.add(docker.daemon_json, WANTED, owner=GVISOR, if_absent=DEFAULTS)
    fleet.add(gvisor.proof, RELEASE, profiles=PROFILES)


def read(fleet: Fleet, name: str) -> object:
    """The node as an operation would read it."""
    with ctx_state.use(fleet.state), ctx_host.use(fleet.host(name)):
        return read_node(fleet.host(name))


def test_preparing_asks_a_node_once_and_after_an_operation_acted_the_next_reads_afresh() -> None:
    unchanged = Node([answer()])
    nodes = {name: Node([answer(), proven_answer()]) for name in ("installed", "declared")}
    installing, declaring = (Fleet({"a": item}, prepare=False) for item in nodes.values())
    installing.add(gvisor.release, RELEASE, archive=SETTINGS.archive)
    installing.add(gvisor.runtimes, RELEASE, profiles=PROFILES)
    for fleet in (installing, declaring):
        fleet.add(docker.daemon_json, WANTED, owner=GVISOR, if_absent=DEFAULTS)
    declaring.add(docker.engine, "present")

    add_all(Fleet({"a": unchanged}))
    installing.run()
    declaring.run()

    assert unchanged.kinds() == ["state"], "whatever will change"
    assert nodes["installed"].kinds() == ["state", "release", "state"]
    assert nodes["declared"].kinds() == ["state", "daemon.json", "state"], "what that one read"


@table(
    "other, kinds",
    that_acted=(touch, ["state", "touch /x", "state"]),
    that_did_nothing=(idle, ["state"]),
)
def test_somebody_elses_operation_counts_only_if_it_acted(other: object, kinds: list[str]) -> None:
    nodes = {"a": Node([proven_answer()])}
    fleet = Fleet(nodes, prepare=False)
    fleet.add(docker.engine, "present")
    fleet.add(other, "/x")  # type: ignore[arg-type]
    fleet.add(docker.daemon_json, WANTED, owner=GVISOR, if_absent=DEFAULTS)

    fleet.run()

    assert nodes["a"].kinds() == kinds


def test_what_was_read_is_kept_and_forgotten_by_host_once_the_run_executes() -> None:
    nodes = {"a": Node([answer()]), "b": Node([answer()])}
    fleet = Fleet(nodes)
    read(fleet, "a"), read(fleet, "a"), read(fleet, "b")
    forget_node(fleet.host("a"))  # which is only prepared
    read(fleet, "a")
    prepared = len(nodes["a"].sent)
    fleet.state.is_executing = True

    forget_node(fleet.host("a"))
    forget_node(fleet.host("a"))  # of which nothing is kept any more

    assert read(fleet, "a") == read(fleet, "b") == node()
    assert [prepared, *(len(item.sent) for item in nodes.values())] == [1, 2, 1]


@table("state", UNPARSABLE)
def test_a_node_that_cannot_be_read_is_unknown_not_empty_and_asked_again(state: list[str]) -> None:
    nodes = {"bad": Node([state]), "good": Node([answer()])}
    fleet = Fleet(nodes)

    found = read(fleet, "bad")
    nodes["bad"].states = [answer()]

    assert found is None
    assert read(fleet, "bad") == read(fleet, "good") == node()


def test_the_last_host_that_cannot_be_read_ends_the_run_as_pyinfra_does(caplog: Log) -> None:
    command, fleet = str(NodeState().command()), Fleet({"bad": Node([["nonsense"]])})

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.add(docker.engine, "present")

    assert "the node's answer is incomplete: it ends after 1 lines" in caplog.text
    assert command.startswith("sh -c '"), "one shell with the whole script as its argument"
    assert "end of node state" in command


WRAPPER = f"/opt/gvisor/runtimes/runsc-{RELEASE}-0a1b2c3d"
# By the last line of its answer, which is in the script too.
ANSWERS: dict[str, Sequence[str]] = {
    "node.NodeState": proven_answer(),
    "apps.RunningApps": looked_lines(looked()),
    "audit.AuditState": [*proven_answer()[:-1], *app().lines(), END],
    "coolify.CoolifyState": coolify_answer(container(), *patched()),
    "generations.Generations": generations({}, proven()).stdout,
    "changes.Changes": ['{"at":"2026-10-01T10:00:00Z","what":"watch"}', "end of changes"],
    "users.RuntimeUsers": users(("web", True, "runsc"), ("old", False, "runc")).stdout,
    "release_users.ReleaseUsers": [WRAPPER, "end of release users"],
    "source.Unreachable": ["no http://a/b curl: (7) refused", "end of source"],
    "moves.MovableContainers": ['{"unfinished": "web"}', "end of moves"],
    "images.Images": pulled_lines(image(), container_of()),
}


def every_fact() -> list[str]:
    """The facts of this package, as they are named behind ``pyinfra_gvisor.facts.``."""
    names = []
    for module in iter_modules(facts.__path__):
        there = vars(import_module(f"pyinfra_gvisor.facts.{module.name}"))
        names += [
            f"{module.name}.{name}"
            for name, item in there.items()
            if isinstance(item, type) and issubclass(item, FactBase)
            if item.__module__.endswith(f".facts.{module.name}")
        ]
    return names


def printed(name: str, directory: Path, *flags: str) -> Any:
    """What is printed of a fact as JSON."""
    told = list(ANSWERS[name])
    host = {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": {told[-1]: told}}
    (directory / "run.py").write_text(cli.inventory(run={"a": host}))

    ran = cli.pyinfra(directory, "run.py", "fact", f"pyinfra_gvisor.facts.{name}", *flags)

    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "could not" not in ran.stderr.lower()
    return ran


def test_every_fact_is_asked_here() -> None:
    assert set(every_fact()) == set(ANSWERS)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_fact_is_printed_for_people_and_for_programs(name: str, tmp_path: Path) -> None:
    shown = printed(name, tmp_path)
    document = json.loads(printed(name, tmp_path, "--json").stdout)

    assert "@fake/a" in shown.stderr
    (found,) = (value["@fake/a"] for value in document.values())
    assert found
    assert "pyinfra_gvisor" not in json.dumps(found)  # an object that prints itself by its class
