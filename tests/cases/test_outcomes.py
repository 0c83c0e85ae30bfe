"""What a run says of a host in the end is what is so then, and nothing that nobody has seen."""

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pyinfra import host, state
from pyinfra.api import FunctionCommand, Host, State, operation
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import egress, upgrade
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.report.summary import DECLINED_PATH, HostEnd, outcome
from pyinfra_gvisor.run_support import ending, messages
from pyinfra_gvisor.run_support.ending import because, close_with_summary, run_end
from pyinfra_gvisor.run_support.messages import refusal
from tests.arguments import Data, Log, Patch
from tests.cases.cli import CHECKOUT, fake, interrupted, inventory, pyinfra, summary
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.guarded import KEPT, PLAIN
from tests.cases.proven import DEFAULTS, PROFILES, WANTED, converged, proven, proven_answer
from tests.table import table
from tests.unit.answers import LATER_S, after, answer, node
from tests.unit.egress.egress_states import found, told

NEVER: dict[str, Any] = {"gvisor_proof": "never"}
RELOADING: dict[str, Any] = {"gvisor_restart": "reload"}
OWN_DEPLOY = """\
from pyinfra import host
from pyinfra_gvisor.deploys.gvisor import run_node
"""


def ended(given: Node, *deploys: Callable[..., Any], runs: bool = True) -> tuple[str, HostEnd]:
    """What became of one host, and what is known of it."""
    fleet = Fleet({"a": given})
    close_with_summary(fleet.host("a"), "deploy")
    with suppress(PyinfraError):  # no host remains
        for deploy in deploys:
            fleet.deploy(deploy)
        if runs:
            fleet.run()
    run = run_end(fleet.state)
    return outcome(run.hosts[0], run), run.hosts[0]


def changed(data: Data) -> Data:
    """A proven node after a change of daemon.json, for which its proof does not hold."""
    given = proven()
    plan = plan_daemon_json(node(**given), {**WANTED, **data}, if_absent=DEFAULTS)
    proof = {"proof": given["state"]["proof"]}
    return {**given, **after(plan), "state": {**after(plan)["state"], **proof}}


def test_a_proof_that_still_holds_counts_and_one_from_before_a_change_does_not() -> None:
    wanted = {"debug": True}
    data = {**NEVER, "gvisor_daemon_json": wanted}
    given = Node([proven_answer(), answer(**changed(wanted))], data=data)

    word, _ = ended(given, run_node)

    assert (given.acted(), word) == (["daemon.json"], "changed")
    assert ended(Node([proven_answer()], data=NEVER), run_node)[0] == "still proven"


@operation()
def moody() -> Generator[PyinfraCommand, None, None]:
    """Refuse while it is prepared, and never again."""
    if not state.is_executing:
        yield from refusal("test.moody", "file", Problem("not yet", todo="wait"))


def test_what_a_forecast_refused_and_the_run_did_is_not_held_against_the_host() -> None:
    given, call = Node([proven_answer()]), partial(moody, name="Wait")

    assert ended(given, call, runs=False)[1].causes == ("not yet; wait",)
    word, end = ended(given, call)

    assert (word, end.causes, end.refused) == ("as declared", (), False)


@operation()
def flaky() -> Generator[PyinfraCommand, None, None]:
    """Succeed at the second attempt."""
    tried: list[str] = host.connector_data.setdefault("tried", [])
    yield FunctionCommand(_try, (tried,), {})


def _try(state: State, host: Host, tried: list[str]) -> bool:
    if not tried:
        because(host, "the upload failed")
    tried.append("once")
    return len(tried) > 1


@table(
    "retries, expected",
    one_attempt=(0, ("failed", ("the upload failed",))),
    two=(1, ("changed", ())),
)
def test_only_the_last_attempt_counts(retries: int, expected: tuple[str, tuple[str, ...]]) -> None:
    upload = partial(flaky, name="Upload", _retries=retries, _retry_delay=0)

    word, end = ended(Node([answer()]), upload)

    assert (word, end.causes) == expected


WITHOUT_DOCKER = ("info", "dockerd", "clock", "docker_client")
DOCKERLESS = [*told(found(networks=(), bridges=())), *answer(without=WITHOUT_DOCKER)]
INSTALLED = [*told(PLAIN), *answer(**converged())]
FROM_NOTHING = {**NEVER, "gvisor_docker": "debian", "gvisor_egress": {}}


def without_docker() -> Node:
    """A node on which a deploy installs Docker before it has a firewall."""
    return Node([DOCKERLESS, INSTALLED], data=FROM_NOTHING)


def test_a_node_that_gets_its_docker_in_the_same_run_gets_its_firewall_and_no_plan_refuses(
    caplog: Log, monkeypatch: Patch
) -> None:
    given = without_docker()

    word, end = ended(given, run_node)
    errors = [item for item in caplog.records if item.levelname == "ERROR"]
    for module in (ending, messages):  # as with ``--dry`` on pyinfra's command line
        monkeypatch.setattr(module, "ends_after_plan", lambda _state: True)
    planned, in_a_plan = ended(without_docker(), run_node, runs=False)

    assert [kind for kind in given.acted() if kind in KEPT] == KEPT
    assert (word, end.causes, errors) == ("changed", (), [])
    assert (planned, in_a_plan.failed) == ("changes pending", False)


@table(
    "lacking, runs",
    no_docker_when_executed=(WITHOUT_DOCKER, True),
    no_answer=(("info",), True),
    no_answer_in_a_plan=(("info",), False),
)
def test_an_impossible_firewall_is_refused(lacking: Sequence[str], runs: bool, caplog: Log) -> None:
    given = Node([[*told(PLAIN), *answer(without=lacking)]])

    _, end = ended(given, partial(egress.rules, Egress(), name="Apply"), runs=runs)

    assert end.refused
    assert given.acted() == []
    assert "the list of Docker's networks cannot be read; check that" in caplog.text


def test_a_host_on_which_something_was_done_or_a_release_was_tried_is_not_called_refused() -> None:
    half = Node([answer(daemon_json="{}\n", mtime_s=LATER_S, pending="yes")], data=NEVER)
    tried = Node([answer(**converged())], {"prove": Reply(ok=False)})
    canary = partial(upgrade.canary, "20261005.0", profiles=PROFILES, name="Prove")

    (word, end), (after_a_try, _) = ended(half, run_node), ended(tried, canary)

    assert (half.acted(), tried.acted()[:2]) == (["daemon.json"], ["daemon.json", "prove"])
    assert (word, end.refused, after_a_try) == ("failed", True, "failed")


def waiting(*, ours: bool) -> Data:
    """A node with a key of daemon.json, ours or not, that dockerd did not read at its start."""
    given = proven()
    text = given["daemon_json"]
    if ours:
        plan = plan_daemon_json(node(), WANTED, if_absent=DEFAULTS, restart="reload")
        started = dict(plan.started_with or {})
    else:
        started = given["state"]["applied"]["started_with"]
        text = text.replace("{", '{"bip": "10.9.0.1/24",', 1)
    applied = {**given["state"]["applied"], "started_with": started}
    return {**given, "daemon_json": text, "state": {**given["state"], "applied": applied}}


@table("runs", run=True, plan=False)
@table(
    "data, ours, expected",
    ours=(RELOADING, True, "restart pending"),
    of_others=({}, False, "as declared"),
)
def test_declared_keys_that_wait_for_a_restart_are_not_called_applied(
    data: Data, ours: bool, expected: str, runs: bool, caplog: Log
) -> None:
    given = Node([answer(**waiting(ours=ours))], data={**data, **NEVER})

    word, _ = ended(given, run_node, runs=runs)

    assert "changed since dockerd started" in caplog.text
    assert given.acted() == []
    assert word == expected


@table(
    "arguments, first",
    run=(("gvisor.py",), "as declared"),
    doctor=(("doctor.py", "-y"), "ready"),
)
def test_after_ctrl_c_unseen_hosts_are_told_apart(
    arguments: tuple[str, ...], first: str, tmp_path: Path
) -> None:
    deploy, *options = arguments
    hosts = {"a": fake(proven_answer()), "b": {**fake(proven_answer()), "fake_delay": 60}}
    (tmp_path / "run.py").write_text(inventory(run=hosts))

    path = CHECKOUT / "deploys" / deploy
    _, written = interrupted(tmp_path, "run.py", path, *options, after="a] Ready:")

    headline, *lines = summary(written)
    assert headline.endswith(f": 1 of 2 hosts {first}")
    assert lines == [
        f"{first}: @fake/a",
        "not looked at: @fake/b",
        "next: run again: the run was ended before these hosts were looked at",
    ]


ENDED = "next: run again: the run was ended before these hosts were looked at"


@table(
    "text, flag, code, told",
    breaks_off=(
        "run_node()\nif 'build' in host.groups:\n    raise ValueError('broken')\n",
        *("--dry", 1, [" of the plan: 1 of 2 hosts as declared", "as declared: @fake/a", ENDED]),
    ),
    leaves_out=(
        "if 'run' in host.groups:\n    run_node()\n",
        "-y",
        0,
        [
            ": gVisor works on 1 of 2 hosts",
            "unchanged since it was proven by a test container: @fake/a",
        ],
    ),
)
def test_hosts_that_a_deploy_breaks_off_at_or_leaves_out_were_not_looked_at(
    text: str, flag: str, code: int, told: list[str], tmp_path: Path
) -> None:
    slow = {**fake(proven_answer()), "fake_delay": 0.5}
    (tmp_path / "fleet.py").write_text(
        inventory(run={"a": fake(proven_answer())}, build={"db": slow})
    )
    (tmp_path / "own.py").write_text(f"{OWN_DEPLOY}{text}")

    ran = pyinfra(tmp_path, "fleet.py", "own.py", flag)

    headline, seen, *rest = told
    lines = [f"--> Summary{headline}", seen, "not looked at: @fake/db", *rest]
    assert (ran.returncode, summary(ran.stderr)) == (code, lines)


@table("deploy", deploy="gvisor.py", audit="audit.py")
def test_a_dry_run_with_y_looks_at_nothing_and_says_so(deploy: str, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(inventory(run={"a": fake(proven_answer())}))

    ran = pyinfra(tmp_path, "run.py", CHECKOUT / "deploys" / deploy, "--dry", "-y")

    assert summary(ran.stderr)[1:] == [
        "not looked at: @fake/a",
        "next: leave out -y: with --dry and -y pyinfra looks at nothing",
    ]


@table("typed, made", declined=("no\n", True), accepted=("y\n", False))
def test_a_caller_learns_that_a_run_ended_early(typed: str, made: bool, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(inventory(run={"a": fake(proven_answer())}))
    mark = tmp_path / "ended early"
    deploy, environment = CHECKOUT / "deploys" / "gvisor.py", {DECLINED_PATH: str(mark)}

    ran = pyinfra(tmp_path, "run.py", deploy, environment=environment, typed=typed)

    assert ran.returncode == 0, ran.stderr
    assert mark.exists() is made
