"""``gvisor_default`` on the real engine: previewed, on, changed, off, and taken back."""

import json
import re
from contextlib import suppress
from functools import partial
from typing import Any

from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.daemon_json.generations import plan_generation
from pyinfra_gvisor.daemon_json.plan import plan_around_users
from pyinfra_gvisor.daemon_json.runtime_users import RuntimeUser
from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.deploys.rollback import roll_back
from pyinfra_gvisor.facts.node import NodeState
from pyinfra_gvisor.judge.rules import PLUGIN
from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.planning.wanted import plan_for_settings
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings, load_settings
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply, done_by
from tests.cases.kept import generations, kept_as, users
from tests.cases.proven import INSTALLED, RELEASE, converged, proven, with_proof
from tests.table import table
from tests.unit.answers import END, Running, after, answer, compact, info, node
from tests.unit.parts import judge_answers
from tests.unit.parts.keeper_answers import keeping
from tests.unit.proof.observations import CONTROL, SANDBOX, output
from tests.unit.settings.loaded_settings import good

DEFAULT = "gvisordefault"
ON: dict[str, Any] = {"gvisor_default": "sandbox"}
ENTRY = {
    "image": f"sha256:{'a' * 64}",
    "reason": "the platform's own helper",
    "without_labels": ["com.docker.compose."],
}
WITH_POLICY: dict[str, Any] = {**ON, "gvisor_infrastructure": [ENTRY]}
SHOP = RuntimeUser(name="shop", running=True, runtime=DEFAULT)
IDLE = RuntimeUser(name="idle", running=False, runtime=DEFAULT)
IN_USE = {"users": users(("shop", True, DEFAULT), ("idle", False, DEFAULT))}
UNUSED = {"users": users(("other", True, "runc"))}
CONTROL_ASKS = {CONTROL: {"asked": DEFAULT}}
IN_DEFAULT = [f"{DEFAULT}\t{key}\t{value}" for key, value in {**SANDBOX, "asked": DEFAULT}.items()]
PROVEN = {"prove": Reply([*output(node={"default": DEFAULT}, **CONTROL_ASKS), *IN_DEFAULT])}
PROVEN_OFF = {"prove": Reply(output())}


def changed(given: Data, data: Data, *uses: RuntimeUser) -> Data:
    """The node after a change of its wrappers and daemon.json to what the data declare."""
    settings = good(**data)
    wrapped = {**given, "wrappers": {**given["wrappers"], **written(data)}}
    return {**wrapped, **after(plan_for_settings(node(**wrapped), settings, lambda: uses))}


def written(data: Data) -> dict[str, str]:
    """The sha256 of each wrapper that the data declare, by path."""
    settings = good(**data)
    found = wrappers(settings.release, settings.runtimes, settings.dispatch)
    return {item.path: item.sha256 for item in found}


def told(given: Data, *, asked: bool | None = None) -> list[str]:
    """
    What a node tells that is like this, and on which the judge is resident.

    + asked: whether dockerd's unit waits for it; None: if daemon.json has dockerd ask it
    """
    if asked is None:
        asked = PLUGIN in str(given["daemon_json"])
    return [*judge_answers.told(asked=asked), *answer(**given)]


def sent(item: Node) -> Data:
    """The daemon.json that the host is sent."""
    found: dict[str, Any] = json.loads(item.of("daemon.json").written())
    return found


def action(item: Node) -> str:
    """What the daemon.json that the host is sent needs."""
    (word,) = re.findall(r"^action=(\S+)$", item.of("daemon.json").stdin or "", re.MULTILINE)
    return str(word)


IS_ON = proven(good(**ON))
# The seal is declared, so that the wrapper of runsc stays the same.
OFF: dict[str, Any] = {"gvisor_default": "off", "gvisor_seal": {}}
WAS_OFF = {**converged(good(**OFF)), "wrappers": {**written(OFF), **written(ON)}}
KEPT = changed(IS_ON, OFF, SHOP, IDLE)
GONE = changed(IS_ON, OFF)


def test_a_plain_node_gets_a_default_runtime_and_is_proven_with_it() -> None:
    given = converged(good(**ON))
    before = {**given, "daemon_json": None}
    bare, released, wrapped = answer(), answer(releases=[RELEASE]), answer(**before)
    item = Node([bare, released, wrapped, told(before, asked=True), told(given)], PROVEN, ON)

    fleet = Fleet({"a": item}).deployed(run_node)

    done = ["release", "wrappers", "judge", "daemon.json", "prove", "record", "keeper"]
    assert item.acted() == done
    assert sent(item)["default-runtime"] == DEFAULT
    assert set(sent(item)["runtimes"]) == {"runsc", DEFAULT}
    assert fleet.failed() == set()


def test_another_policy_takes_effect_by_a_reload_and_no_release_is_tried() -> None:
    now = changed(IS_ON, WITH_POLICY)
    wrapped = {**IS_ON, "wrappers": now["wrappers"]}
    item = Node([*map(told, (IS_ON, wrapped, now))], PROVEN, WITH_POLICY)

    assert done_by(run_node, item) == ["wrappers", "daemon.json", "prove", "record", "keeper"]
    assert action(item) == "reload"


OLD = "20260831.0"
NEWER: dict[str, Any] = {**ON, "gvisor_proof": "never"}


def test_with_a_new_release_the_default_runtime_moves_to_it_by_a_reload() -> None:
    on_old = {**ON, "gvisor_release": OLD}
    before = {**changed(WAS_OFF, on_old), "releases": [OLD, RELEASE], "wrappers": written(on_old)}
    now = changed(before, NEWER)
    wrapped = {**before, "wrappers": now["wrappers"]}
    item = Node([*map(told, (before, wrapped, now))], UNUSED, NEWER)

    assert done_by(run_node, item) == ["wrappers", "daemon.json", "keeper"]
    assert action(item) == "reload"
    paths = {name: entry["path"] for name, entry in sent(item)["runtimes"].items()}
    assert set(paths) == {"runsc", DEFAULT}
    assert all(f"-{RELEASE}-" in path for path in paths.values())


@table(
    "given, uses, now, left",
    used=(IS_ON, IN_USE, KEPT, {"runsc", DEFAULT}),
    unused=(IS_ON, UNUSED, GONE, {"runsc"}),
    unused_at_last=(with_proof(KEPT, good(**OFF)), UNUSED, GONE, {"runsc"}),
)
def test_switched_off_it_stays_while_a_container_needs_it(
    given: Data, uses: dict[str, Reply], now: Data, left: set[str]
) -> None:
    asked = PLUGIN in given["daemon_json"]
    states = (told(given), *[told(now, asked=True)] * asked, told(now))
    item = Node([keeping(state, **OFF) for state in states], {**uses, **PROVEN_OFF}, OFF)

    assert done_by(run_node, item) == ["daemon.json", *["judge"] * asked, "prove", "record"]
    assert action(item) == "reload"
    assert "default-runtime" not in sent(item)
    assert set(sent(item)["runtimes"]) == left


@table(
    "given, data, uses",
    on=(IS_ON, ON, {}),
    policy=(with_proof(changed(IS_ON, WITH_POLICY), good(**WITH_POLICY)), WITH_POLICY, {}),
    off_and_used=(with_proof(KEPT, good(**OFF)), OFF, IN_USE),
    off=(with_proof(GONE, good(**OFF)), OFF, {}),
)
def test_a_second_run_changes_nothing_and_no_socket_of_dockers_is_a_reason_against_it(
    given: Data, data: Data, uses: dict[str, Reply]
) -> None:
    proxy = Running("proxy", mounts=("/var/run/docker.sock",))
    fleet = Fleet({"a": Node([answer(**{**given, "containers": [proxy]})], uses, data)})
    fleet.deploy(run_node)

    assert fleet.failed() == set()
    assert done_by(run_node, Node([keeping(told(given), **data)], uses, data)) == []


@table(
    "given, data, uses, lines",
    on=(
        {},
        ON,
        {},
        ['+    "default-runtime": "gvisordefault",', "prove runsc, gvisordefault in probe"],
    ),
    off=(
        IS_ON,
        OFF,
        IN_USE,
        [
            "changed, reload",
            '-    "default-runtime": "gvisordefault",',
            "is not declared, but these containers need it: shop, idle (stopped). ",
            "prove runsc in probe",
        ],
    ),
)
def test_a_dry_run_says_what_the_run_does_and_changes_nothing(
    given: Data, data: Data, uses: dict[str, Reply], lines: list[str], caplog: Log
) -> None:
    item = Node([answer(**given)], uses, data)

    Fleet({"a": item}, DIFF=True).deploy(run_node)

    assert item.acted() == []
    for line in lines:
        assert line in caplog.text


def test_a_removal_names_the_containers_that_need_the_default_runtime(caplog: Log) -> None:
    whole = {**IS_ON, "state_dir": "yes"}
    given_back = {**whole, "daemon_json": None, "state": {}, "docker": info()}
    nodes = {
        "bad": Node([answer(**whole)], IN_USE, ON),
        "good": Node([answer(**whole), answer(**given_back)], UNUSED, ON),
    }
    fleet = Fleet(nodes)

    fleet.deploy(remove)
    touched = [item.acted() for item in nodes.values()]
    fleet.run()

    assert touched == [[], []]
    assert [item.acted() for item in nodes.values()] == [[], ["daemon.json", "remove"]]
    assert fleet.failed() == {"bad"}
    assert (
        "remove: /etc/docker/daemon.json on @fake/bad: the change would remove runtimes that "
        "containers need: gvisordefault (these need it to start: shop, idle (stopped)); set "
        'gvisor_default = "off" and gvisor_seal = None, and run pyinfra-gvisor apply. Then '
        "recreate or remove these containers; "
        "gvisor_keep_running = True keeps the runtimes until no container needs them. Nothing was "
        "changed."
    ) in caplog.text


NVIDIA = {"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/usr/bin/nvidia"}}}
ORIGINAL = json.dumps(NVIDIA, indent=1)


def test_a_removal_gives_back_the_default_runtime_that_was_there_before_to_the_byte() -> None:
    bare = {"daemon_json": ORIGINAL, "wrappers": {}, "releases": [RELEASE]}
    taken = changed(bare, ON)
    item = Node([answer(**taken, state_dir="yes"), answer(daemon_json=ORIGINAL)], UNUSED, ON)

    Fleet({"a": item}, prepare=False).deployed(remove)

    assert json.loads(taken["daemon_json"])["default-runtime"] == DEFAULT
    assert item.of("daemon.json").written() == ORIGINAL


NOW_ON = changed(WAS_OFF, ON)
NOW_OFF = changed(NOW_ON, OFF, SHOP)


def gone_back(given: Data, to: Data, *uses: RuntimeUser) -> Data:
    """The node after it was taken back to an earlier state."""
    plan = plan_around_users(
        partial(plan_generation, node(**given), kept_as(to)), lambda: uses, keep_running=(DEFAULT,)
    )
    return {**given, **after(plan)}


@table("data", still_declared=ON, off=OFF)
def test_a_rollback_to_the_default_runtime_proves_a_container_that_asks_none(data: Data) -> None:
    back = gone_back(NOW_OFF, NOW_ON, SHOP)
    replies = {"generations": generations(WAS_OFF, NOW_ON), **IN_USE, **PROVEN}
    item = Node([told(NOW_OFF, asked=True), told(back)], replies, data)

    assert done_by(roll_back, item) == ["daemon.json", "prove", "record"]
    assert sent(item)["default-runtime"] == DEFAULT
    assert "\ndefault=gvisordefault\n" in item.of("prove").words[2]


@table(
    "given, kept, uses",
    before_the_default=(NOW_ON, [WAS_OFF], IN_USE),
    before_the_default_unused=(NOW_ON, [WAS_OFF], UNUSED),
    while_it_was_only_kept=(changed(NOW_OFF, ON), [NOW_OFF], IN_USE),
)
def test_a_rollback_to_no_default_leaves_what_is_needed(
    given: Data, kept: list[Data], uses: dict[str, Reply]
) -> None:
    needed = (SHOP, IDLE) if uses is IN_USE else ()
    back = gone_back(given, kept[-1], *needed)
    replies = {"generations": generations(*kept), **uses, **PROVEN_OFF}
    item = Node([answer(**given), answer(**back)], replies, ON)

    assert done_by(roll_back, item) == ["daemon.json", "prove", "record"]
    assert "default-runtime" not in sent(item)
    assert set(sent(item)["runtimes"]) == {"runsc", *([DEFAULT] if needed else [])}
    assert "\ndefault=''\n" in item.of("prove").words[2]


ASKS = "preview_state() {"
SETTINGS = good(**ON)


def place(name: str, where: str, why: str) -> str:
    """The line that says where a container of runc would run when it is recreated."""
    given = {"asked": "runc", "when": "recreated", "where": where, "why": why}
    return "place " + compact({"id": name, "name": name, **given})


PLACES = [
    "preview asked",
    place("shop", "sandbox", "not infrastructure"),
    place("agent", "refused", "mount of /var/run/docker.sock"),
    place("proxy", "runc", "coolify-proxy: routes all apps"),
    "preview told",
]
TOLD = [
    "where containers run after their next start:",
    "agent: stays under runc until it is recreated, then would be REFUSED: mount of",
    "shop: stays under runc until it is recreated, then gVisor",
    "proxy: runc (coolify-proxy: routes all apps)",
]


def host(*lines: str, data: Data | None = None, **changes: Any) -> Node:
    """A host whose answer also has these lines."""
    given = answer(**{**INSTALLED, **changes})
    return Node([[*given[:-1], *lines, END]], data=ON if data is None else data)


def prepared(node: Node, settings: Settings = SETTINGS, **config: Any) -> Fleet:
    """A fleet on which the wrappers are to be written."""
    fleet = Fleet({"a": node}, **config)
    fleet.add(gvisor.runtimes, RELEASE, profiles=settings.runtimes, dispatch=settings.dispatch)
    return fleet


@table("prepare", interactive=True, with_yes=False)
def test_where_each_container_would_run_is_said_once_and_first_one_that_is_refused_aloud(
    caplog: Log, prepare: bool
) -> None:
    node = host(*PLACES)

    prepared(node, prepare=prepare).run()

    positions = [caplog.text.find(line) for line in TOLD]
    assert -1 not in positions
    assert positions == sorted(positions)
    assert [caplog.text.count(line) for line in TOLD] == [1] * len(TOLD)
    assert node.acted() == ["wrappers"]
    (warned,) = (item.getMessage() for item in caplog.records if item.levelname == "WARNING")
    assert "agent: stays under runc" in warned


IMAGE = {"id": "sha256:9", "names": ["helper:2"], "shapes": ["coolify-helper"]}


@table(
    "line, said",
    not_accepted=(f"unaccepted {compact(IMAGE)}", ["pyinfra-gvisor accept sha256:9"]),
    not_known=(
        'preview_error "no answer to /info"',
        ["unknown where containers would run", "no answer to /info"],
    ),
)
def test_what_is_not_accepted_or_not_known_is_said(line: str, said: list[str], caplog: Log) -> None:
    prepared(host("preview asked", line, "preview told"))

    for text in said:
        assert text in caplog.text


def test_a_node_that_has_every_wrapper_says_nothing_and_an_audit_asks_in_its_one_command(
    caplog: Log,
) -> None:
    scripts = wrappers(RELEASE, SETTINGS.runtimes, SETTINGS.dispatch)
    prepared(host(*PLACES, wrappers={item.path: item.sha256 for item in scripts})).run()
    assert "next start" not in caplog.text
    node = host()
    fleet = Fleet({"a": node}, prepare=False)

    with suppress(PyinfraError):  # the host fails, because it is not as declared
        fleet.deploy(audit_node)
        fleet.run()

    assert node.kinds() == ["state"]
    assert ASKS in node.of("state").command


@table(
    "data, asks",
    nothing=({}, False),
    off=({"gvisor_default": "off"}, False),
    a_default_runtime=(ON, True),
    a_seal=({"gvisor_seal": {}}, True),
    a_seal_of_one=({"gvisor_runtimes": {"runsc": {"seal": {}}}}, True),
    settings_that_are_wrong=({**ON, "gvisor_release": "nonsense"}, False),
)
def test_a_node_is_asked_in_the_same_command_where_declared(data: Data, asks: bool) -> None:
    node = host(data=data)
    settings, _ = load_settings(data)

    prepared(node, settings or SETTINGS)

    assert node.kinds() == ["state"]
    command = node.of("state").command
    assert (ASKS in command, str(NodeState().command()) in command) == (asks, not asks)
