"""``egress.rules`` where something fails on the way: told, taken back, and nothing more done."""

from __future__ import annotations

import pytest
from paramiko import SSHException

from pyinfra_gvisor.operations import egress as operations
from pyinfra_gvisor.parts.egress.files import CANDIDATE, RULES
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.guarded import KEPT, LOADED, PLAIN, guarded, said

WHERE = f"egress.rules: {RULES} on @fake/bad: "
AT = f"egress.rules: {CANDIDATE} on @fake/bad: "
BY_ITSELF = "the node rolls back rules that are not confirmed"
PENDING = LOADED.model_copy(update={"pending": True})


def ways(item: Node) -> list[tuple[str, bool]]:
    """What was done on a host, and whether over the new connection."""
    return [(sent.kind, sent.anew) for sent in item.sent if sent.kind != "state"]


@pytest.mark.parametrize(
    ("firewall", "text"),
    [
        pytest.param(
            PLAIN, f"{AT}nft refuses the rules: bad rule; nothing was loaded", id="nft-refuses"
        ),
        pytest.param(
            PENDING,
            f"{AT}new rules of another run are not confirmed yet; nothing was loaded. Run again in "
            "a minute",
            id="another-run",
        ),
    ],
)
def test_rules_that_were_not_loaded_are_neither_confirmed_nor_taken_back(
    firewall: EgressState, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing = {"egress try": Reply(ok=False, stderr=["of apt", text])}
    nodes = {"bad": guarded(firewall, replies=failing), "good": guarded(firewall)}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(operations.rules, Egress())
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert (nodes["bad"].acted(), nodes["good"].acted()) == (["egress try"], KEPT)
    assert said(caplog, "bad", level="ERROR")[:2] == ["of apt", text]


def test_that_rules_wait_to_be_confirmed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    Fleet({"a": guarded(PENDING)}).add(operations.rules, Egress())

    assert said(caplog)[0] == "new rules are not confirmed yet"


LEFT = "the node rolls back rules that are not confirmed within 45 s"
UNDOING = [
    pytest.param(Reply(), "the previous rules are active again", id="undone"),
    pytest.param(Reply(ok=False), LEFT, id="not-undone"),
    pytest.param(Reply(broken=SSHException("SSH session not active")), LEFT, id="cut-off"),
]


@pytest.mark.parametrize(("undo", "how"), UNDOING)
def test_if_nobody_gets_in_anew_rules_are_taken_back_over_the_connection_from_before(
    undo: Reply, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = guarded(PLAIN, replies={"egress undo": undo}, refuses="Could not connect (timed out)")
    fleet = Fleet({"bad": bad, "good": guarded(PLAIN)}, prepare=False)

    fleet.add(operations.rules, Egress(confirm_s=45))
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert ways(bad) == [("egress try", False), ("connect", True), ("egress undo", False)]
    why = "a new connection failed under the new rules (Could not connect (timed out))"
    assert said(caplog, "bad", level="ERROR")[0] == f"{WHERE}{why}; {how}"


LATE = (
    f"{WHERE}the new rules were rolled back before they were confirmed; raise confirm_s in "
    "gvisor_egress"
)


@pytest.mark.parametrize(("undo", "how"), UNDOING)
@pytest.mark.parametrize(
    ("confirm", "text"),
    [
        pytest.param(Reply(ok=False, stderr=[LATE]), LATE, id="late"),
        pytest.param(
            Reply(broken=ConnectionResetError("reset by peer")),
            f"the connection broke (reset by peer); {BY_ITSELF}",
            id="reset",
        ),
        pytest.param(
            Reply(broken=EOFError()),
            f"the connection broke (EOFError); {BY_ITSELF}",
            id="closed",
        ),
    ],
)
def test_rules_that_could_not_be_confirmed_are_taken_back_and_the_node_is_left_alone(
    confirm: Reply, text: str, undo: Reply, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = guarded(PLAIN, replies={"egress confirm": confirm, "egress undo": undo})
    fleet = Fleet({"bad": bad, "good": guarded(PLAIN)}, prepare=False)

    fleet.add(operations.rules, Egress(confirm_s=45))
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert ways(bad) == [
        ("egress try", False),
        ("connect", True),
        ("egress confirm", True),
        ("disconnect", True),
        ("egress undo", False),
    ]
    assert said(caplog, "bad", level="ERROR")[:2] == [
        text,
        f"{WHERE}confirming the new rules failed; {how}",
    ]


def test_a_connection_that_breaks_off_while_rules_are_loaded_fails_the_host(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = guarded(PLAIN, replies={"egress try": Reply(broken=TimeoutError("timed out"))})
    fleet = Fleet({"bad": bad, "good": guarded(PLAIN)}, prepare=False)

    fleet.add(operations.rules, Egress())
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert bad.acted() == ["egress try"]
    assert said(caplog, "bad", level="ERROR")[0] == (
        f"the connection broke (timed out); {BY_ITSELF}"
    )


def test_rules_that_cannot_be_taken_off_fail_the_host() -> None:
    failing = {"egress remove": Reply(ok=False, stderr=["rm: cannot remove"])}
    nodes = {"bad": guarded(LOADED, replies=failing), "good": guarded(LOADED)}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(operations.rules, None)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == nodes["good"].acted() == ["egress remove"]
