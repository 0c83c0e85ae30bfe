"""
What holds for every operation, in a run that is planned first and in one with ``--yes``.

With ``--yes`` pyinfra prepares nothing: an operation decides only when it is executed. Tests of
single operations and deploys run one way, therefore.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

from pyinfra_gvisor.coolify.files import COMPOSE, MOUNTS
from pyinfra_gvisor.coolify.survey import Choice, Survey
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.deploys.coolify import run_control_host
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.operations import (
    audit,
    coolify,
    divert,
    docker,
    egress,
    gvisor,
    judge,
    keeper,
    kernel,
    resolver,
    upgrade,
    watch,
)
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.kernel.settings import Kernel
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.parts.watch.plan import Watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.planning.collection import END
from pyinfra_gvisor.platforms.coolify_apps import CoolifyApps
from pyinfra_gvisor.run_support import coolify_apps
from tests.arguments import Log, Patch
from tests.cases.cli import CHECKOUT
from tests.cases.fleet import CONNECTING, FACTS, STATES, Fleet, Node, Reply
from tests.cases.guarded import KEPT, LOADED, PLAIN, said
from tests.cases.kept import changed, generations, users
from tests.cases.proven import (
    DEFAULTS,
    INSTALLED,
    LINK,
    PROFILES,
    RELEASE,
    SETTINGS,
    WANTED,
    converged,
    proven_answer,
)
from tests.cases.test_rollback import NEW, OLD, TRIED, shown
from tests.table import table
from tests.unit.answers import answer, in_base64, node
from tests.unit.coolify.coolify_answers import answer as control_host
from tests.unit.coolify.coolify_answers import compose, container, patched, persistent, php
from tests.unit.egress import egress_states
from tests.unit.kernel import kernel_answers
from tests.unit.parts import judge_answers
from tests.unit.parts.keeper_answers import keeping, timed
from tests.unit.proof.observations import output
from tests.unit.resolver import resolver_answers
from tests.unit.settings.loaded_settings import good

WAYS = table("prepare", planned=True, with_yes=False)


@dataclass(frozen=True)
class Case:
    """
    An operation, and a node on which it has something to do.

    + states: the node's answers, before the operation and after each of its commands; the last one
      is as declared
    + sends: the commands, in order; none for an operation that only looks
    + says: what is said once of it
    + replies: what the node says to commands and other facts
    """

    operation: Callable[..., Any]
    named: Mapping[str, Any]
    states: Sequence[list[str]]
    sends: Sequence[str]
    says: Sequence[str]
    replies: Mapping[str, Reply] = field(default_factory=dict)

    @property
    def needy(self) -> Node:
        """A node on which there is something to do."""
        return Node(self.states, self.replies)

    @property
    def good(self) -> Node:
        """A node that is as declared."""
        return Node(self.states[-1:], self.replies)


BARE = answer()
NO_DOCKER = answer(without=("info", "dockerd", "clock", "docker_client"))
THERE, CONVERGED = answer(**INSTALLED), answer(**converged())
IS_PROVEN = proven_answer()
(WRAPPER,) = INSTALLED["wrappers"]

FIRST = changed({"daemon_json": "{}"}, {"labels": ["old"]})
SECOND = changed(FIRST, {"labels": ["new"]})
HISTORY = generations({"daemon_json": "{}"}, FIRST)
BACK = {**SECOND, **changed({"daemon_json": "{}"}, {"labels": ["old"]})}

UPGRADED = {"gvisor_release": NEW, "gvisor_sha512": {"x86_64": "a" * 128}}
GUARDED = {"gvisor_egress": {}}
IN_FORCE = [*egress_states.told(LOADED), *proven_answer()]
WATCHED = timed("watch", plan_watch(node().part(WatchState), Watch((), ()), init="systemd").files)
NAMING = resolver_answers.told(ResolverState(**resolver_answers.ABLE))
NO_APPS = CoolifyApps(Any, Choice("runsc", ()), Survey())  # type: ignore[arg-type]
COOLIFY = {
    "bare": control_host(container(), *php()),
    "patched": control_host(container(), *patched()),
    "done": control_host(*persistent(mounts=()), *patched()),
}

CASES = {
    "docker.engine": Case(
        docker.engine,
        {"flavour": "debian"},
        [NO_DOCKER, BARE],
        ["docker"],
        ["install Docker, debian"],
    ),
    "docker.daemon_json": Case(
        docker.daemon_json,
        {"wanted": WANTED, "owner": GVISOR, "if_absent": DEFAULTS},
        [BARE, CONVERGED],
        ["daemon.json"],
        ["/etc/docker/daemon.json: new, restart", '+    "live-restore": true'],
    ),
    "docker.generation": Case(
        docker.generation,
        {"number": 2},
        [answer(**SECOND), answer(**BACK)],
        ["daemon.json"],
        ["generation 2: until 2023-11-14 22:13 UTC", '+    "labels": ["old"]'],
        {"generations": HISTORY},
    ),
    "gvisor.release": Case(
        gvisor.release,
        {"version": RELEASE, "archive": SETTINGS.archive},
        [BARE, THERE],
        ["release"],
        [f"install runsc {RELEASE} from "],
    ),
    "gvisor.runtimes": Case(
        gvisor.runtimes,
        {"version": RELEASE, "profiles": PROFILES},
        [BARE, THERE],
        ["wrappers"],
        [f"write {WRAPPER}"],
    ),
    "gvisor.link": Case(
        gvisor.link,
        {"version": RELEASE},
        [BARE, THERE],
        ["link"],
        [f"point /usr/local/bin/runsc at {LINK}"],
    ),
    "gvisor.absent": Case(
        gvisor.absent,
        {},
        [answer(**INSTALLED, state_dir="yes"), BARE],
        ["remove"],
        [
            f"remove /opt/gvisor/releases/{RELEASE}",
            f"remove {WRAPPER}",
            "remove /usr/local/bin/runsc",
            "remove /var/lib/pyinfra-gvisor",
        ],
        {"users": users()},
    ),
    "gvisor.proof": Case(
        gvisor.proof,
        {"version": RELEASE, "profiles": PROFILES},
        [CONVERGED, CONVERGED, proven_answer()],
        ["prove", "record"],
        ["prove runsc in probe containers"],
        {"prove": Reply(output())},
    ),
    "upgrade.canary": Case(
        upgrade.canary,
        {"version": NEW, "profiles": PROFILES},
        [CONVERGED, answer(**TRIED), answer(**TRIED), answer(**converged(good(**UPGRADED)))],
        ["daemon.json", "prove", "daemon.json"],
        [f"prove runsc {NEW} as runsccanary"],
        {"prove": shown()},
    ),
    "upgrade.collection": Case(
        upgrade.collection,
        {"version": RELEASE, "keep": 1},
        [answer(**{**converged(), "releases": [RELEASE, OLD]}), CONVERGED],
        ["collect"],
        [f"remove /opt/gvisor/releases/{OLD}, which nothing needs"],
        {"release users": Reply([END])},
    ),
    "audit.findings": Case(audit.findings, {"settings": SETTINGS}, [IS_PROVEN], [], ["compliant"]),
    "watch.watch": Case(
        watch.watch, {"wanted": True}, [BARE, [*WATCHED, *BARE]], ["watch"], ["check every 120 s"]
    ),
    "kernel.surface": Case(
        kernel.surface,
        {"wanted": Kernel()},
        [[*kernel_answers.told(), *BARE], [*kernel_answers.in_force(), *BARE]],
        ["kernel"],
        ["net.ipv4.conf.all.send_redirects: 1 -> 0", "+install cuse /bin/false"],
    ),
    "egress.rules": Case(
        egress.rules,
        {"wanted": Egress()},
        [[*egress_states.told(PLAIN), *BARE], IN_FORCE],
        KEPT,
        ["load table ", "rules.nft: a new file of "],
    ),
    "resolver.resolver": Case(
        resolver.resolver,
        {"wanted": True},
        [[*NAMING, *BARE], [*resolver_answers.told(resolver_answers.there()), *BARE]],
        ["resolver"],
        ["answer DNS queries of sandboxes at "],
    ),
    "judge.resident": Case(
        judge.resident,
        {"program": judge_answers.PROGRAM, "door": True},
        [BARE, [*judge_answers.told(), *BARE]],
        ["judge"],
        ["start the judge at /run/pyinfra-gvisor/judge.sock"],
    ),
    "keeper.keeper": Case(
        keeper.keeper,
        {"wanted": good(**GUARDED)},
        [IN_FORCE, keeping(IN_FORCE, **GUARDED)],
        ["keeper"],
        ["checks every"],
    ),
    "divert.runc": Case(
        divert.runc,
        {"wanted": None},
        [["divert places /usr/sbin/runc", *BARE], BARE],
        ["divert"],
        ["restore runc at /usr/sbin/runc"],
    ),
    "coolify.runtime_option": Case(
        coolify.runtime_option,
        {},
        [COOLIFY["bare"], COOLIFY["patched"]],
        ["coolify option"],
        ["drops --runtime: patch convertDockerRunToCompose()"],
    ),
    "coolify.persistence": Case(
        coolify.persistence,
        {},
        [COOLIFY["patched"], COOLIFY["done"]],
        ["coolify install"],
        [f"create {COMPOSE} for the next upgrade:", *(f"- {mount}" for mount in MOUNTS)],
    ),
    "coolify.apps": Case(coolify.apps, {"settings": SETTINGS}, [COOLIFY["done"]], [], []),
}
ACTING = {name: case for name, case in CASES.items() if case.sends}


@pytest.fixture(autouse=True)
def _no_apps(monkeypatch: Patch) -> None:
    """Have a Coolify without apps; ``test_coolify_apps`` has one that is asked."""
    monkeypatch.setattr(coolify_apps, "look", lambda *_: NO_APPS)


def test_no_operation_is_left_out_here() -> None:
    modules = [
        import_module(f"pyinfra_gvisor.operations.{path.stem}")
        for path in (CHECKOUT / "operations").glob("[!_]*.py")
    ]

    assert set(CASES) == {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in modules
        for name, item in vars(module).items()
        if hasattr(item, "_inner") and item.__module__ == module.__name__ and item.is_idempotent
    }


@WAYS
@table("case", CASES)
def test_it_says_once_what_it_does_does_it_once_and_leaves_alone_what_is_as_declared(
    case: Case, prepare: bool, caplog: Log
) -> None:
    nodes = {"a": case.needy, "good": case.good}
    fleet = Fleet(nodes, prepare=prepare, DIFF=True)

    metas = fleet.add(case.operation, **case.named, _sudo=True)
    forecast = {host: meta.will_change for host, meta in metas.items()} if prepare else None
    touched = [item.acted() for item in nodes.values()]
    fleet.run()

    does = {"a": bool(case.sends), "good": False}
    assert forecast == (does if prepare else None)
    assert touched == [[], []]
    assert [item.acted() for item in nodes.values()] == [list(case.sends), []]
    assert {host: meta.did_change() for host, meta in metas.items()} == does
    assert fleet.failed() == set()
    lines = said(caplog)
    assert [sum(piece in line for line in lines) for piece in case.says] == [1] * len(case.says)
    sent = [item for item in nodes["a"].sent if item.kind not in CONNECTING]
    assert all(item.sudo for item in sent)


@dataclass(frozen=True)
class Refused:
    """
    A node on which an operation can do nothing.

    + says: the file and the reason
    + state: the node's answer; replies: what it says to other facts
    + named: arguments other than those of its ``Case``
    """

    says: tuple[str, str]
    state: list[str]
    replies: Mapping[str, Reply] = field(default_factory=dict)
    named: Mapping[str, Any] = field(default_factory=dict)


NOT_JSON = "line 1 column 6: not JSON"
DAEMON_JSON = "/etc/docker/daemon.json"
NO_SYSTEMD = answer(init="init")
REFUSED = {
    "docker.engine": Refused(
        ("docker", "Docker is not installed"), NO_DOCKER, named={"flavour": "present"}
    ),
    "docker.daemon_json": Refused((DAEMON_JSON, NOT_JSON), answer(daemon_json='{"a" 1}')),
    "docker.generation": Refused(
        (DAEMON_JSON, "no generation is kept"), answer(**SECOND), {"generations": generations()}
    ),
    "gvisor.release": Refused(
        (RELEASE, "the sha512 of gvisor.tar.bz2 is unknown; set gvisor_sha512"),
        answer(uname="6.12.9 riscv64"),
    ),
    "gvisor.absent": Refused(
        (DAEMON_JSON, NOT_JSON), answer(**INSTALLED, state_dir="yes", daemon_json='{"a" 1}')
    ),
    "gvisor.proof": Refused(
        ("node", "/var/lib/pyinfra-gvisor/proof.json is from a newer pyinfra-gvisor"),
        answer(**converged(), **{"state.proof": in_base64('{"version": 999}')}),
    ),
    "upgrade.canary": Refused(
        (DAEMON_JSON, NOT_JSON), answer(**{**converged(), "daemon_json": '{"a" 1}'})
    ),
    "upgrade.collection": Refused(
        (RELEASE, "the node's state is not known"),
        CASES["upgrade.collection"].states[0],
        {"release users": Reply(["cut"])},
    ),
    "audit.findings": Refused(
        ("node", "/etc/docker is not writable for user debian"), proven_answer(user="debian")
    ),
    "watch.watch": Refused(
        (
            "pyinfra-gvisor-watch",
            "the watch needs systemd on the node, got init; turn gvisor_watch",
        ),
        NO_SYSTEMD,
    ),
    "egress.rules": Refused(
        ("/opt/gvisor/egress/rules.nft", "the egress firewall needs systemd on the node, got init"),
        [*egress_states.told(PLAIN), *NO_SYSTEMD],
    ),
    "resolver.resolver": Refused(
        ("pyinfra-gvisor-resolver", 'runtimes with "dns": "docker" need systemd on the node'),
        [*NAMING, *NO_SYSTEMD],
    ),
    "coolify.runtime_option": Refused(
        ("coolify", "unknown version of"),
        control_host(container(), *php("damaged", "reason two returns", probe=None)),
    ),
    "coolify.persistence": Refused(
        (COMPOSE, ""),
        control_host(
            container(), compose("services: {coolify: {volumes: ['/a:/b']}}\n"), *patched()
        ),
    ),
}


@WAYS
@pytest.mark.parametrize("name", REFUSED)
def test_a_node_that_it_refuses_is_left_alone(name: str, prepare: bool, caplog: Log) -> None:
    case, refused = CASES[name], REFUSED[name]
    nodes = {"bad": Node([refused.state], refused.replies), "good": case.good}

    fleet = Fleet(nodes, prepare=prepare).done(case.operation, **{**case.named, **refused.named})

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == []
    file, reason = refused.says
    errors = said(caplog, "bad", level="ERROR")
    assert [line for line in errors if line.startswith(f"{name}: {file} on @fake/bad: {reason}")]


@pytest.mark.parametrize("name", CASES)
def test_a_node_that_is_not_known_is_refused(name: str, caplog: Log) -> None:
    case = CASES[name]
    nodes = {"bad": Node([["nonsense"]]), "good": case.good}

    fleet = Fleet(nodes, prepare=False).done(case.operation, **case.named)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].kinds() in (["state"], ["coolify state"])
    assert f"{name}: " in caplog.text
    assert "on @fake/bad: the node's state is not known; see the error above" in caplog.text


# A proof writes down that it failed.
@table("case", {name: case for name, case in ACTING.items() if name != "gvisor.proof"})
def test_a_command_that_fails_fails_its_host_alone_and_a_retry_reads_afresh(case: Case) -> None:
    first = case.sends[0]
    bad = Node(case.states[:1], {**case.replies, first: Reply(ok=False)})
    named = {**case.named, "_retries": 1, "_retry_delay": 0}

    fleet = Fleet({"bad": bad, "good": case.good}, prepare=False).done(case.operation, **named)

    assert fleet.failed() == {"bad"}
    sent = [kind for kind in bad.kinds() if kind in STATES or kind not in FACTS]
    assert sent == [sent[0], first] * 2
    assert sent[0] in STATES


@table("case", ACTING)
def test_once_more_in_the_same_run_it_looks_again_and_does_nothing(case: Case) -> None:
    needy = case.needy
    fleet = Fleet({"a": needy}, prepare=False)

    fleet.add(case.operation, **case.named)
    again = fleet.add(case.operation, **case.named)
    fleet.run()

    assert needy.acted() == list(case.sends)
    assert needy.kinds()[-1] in FACTS
    assert not again["a"].did_change()


def test_a_node_that_cannot_be_read_again_before_its_probe_is_not_proven() -> None:
    bad = Node([CONVERGED, ["nonsense"]], each_read=True)
    proof = CASES["gvisor.proof"]
    nodes = {"bad": bad, "good": proof.good}

    fleet = Fleet(nodes, prepare=False).done(proof.operation, **proof.named)

    assert fleet.failed() == {"bad"}
    assert bad.kinds() == ["state", "state"]


@dataclass(frozen=True)
class Deploy:
    """A deploy, as ``Case``; ``bad`` is the answer of a node that is refused."""

    deploy: Callable[..., Any]
    states: Sequence[list[str]]
    sends: Sequence[str]
    replies: Mapping[str, Reply]
    bad: list[str]
    group: str = "run"


DEPLOYS = {
    "gvisor": Deploy(
        run_node,
        [
            BARE,
            answer(releases=[RELEASE]),
            answer(**{**converged(), "daemon_json": None}),
            *[CONVERGED] * 2,
            proven_answer(),
        ],
        ["release", "wrappers", "daemon.json", "prove", "record"],
        {"prove": Reply(output())},
        answer(daemon_json='{"a" 1}'),
    ),
    "remove": Deploy(
        remove,
        [proven_answer(state_dir="yes"), answer(**INSTALLED, state_dir="yes"), BARE],
        ["daemon.json", "remove"],
        {"users": users()},
        answer(daemon_json='{"a" 1}'),
    ),
    "coolify": Deploy(
        run_control_host,
        [*COOLIFY.values()],
        ["coolify option", "coolify install"],
        {},
        control_host(),
        "coolify",
    ),
}


@WAYS
@table("given", DEPLOYS)
def test_a_deploy_refuses_first_then_takes_its_steps_until_one_fails(
    given: Deploy, prepare: bool
) -> None:
    sends = list(given.sends)
    failing = {kind: Node(given.states, {**given.replies, kind: Reply(ok=False)}) for kind in sends}
    nodes = {
        "bad": Node([given.bad], given.replies),
        "needy": Node(given.states, given.replies),
        "good": Node(given.states[-1:], given.replies),
    }
    fleet = Fleet({**nodes, **failing}, prepare=prepare, groups={given.group: {}})

    fleet.deploy(given.deploy)
    touched = [item.acted() for item in (*nodes.values(), *failing.values()) if item.acted()]
    refused = fleet.failed()
    fleet.run()

    assert (touched, refused) == ([], {"bad"})
    assert [item.acted() for item in nodes.values()] == [[], sends, []]
    assert fleet.failed() == {"bad", *sends}
    last = {kind: sends.index("record" if kind == "prove" else kind) for kind in sends}
    acted = {kind: item.acted() for kind, item in failing.items()}
    assert acted == {kind: sends[: last[kind] + 1] for kind in sends}
