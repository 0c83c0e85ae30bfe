"""How a trial is judged, and how that is told."""

from dataclasses import replace
from typing import Any

import pytest

from pyinfra_gvisor.report.outlooks import REFUSED
from pyinfra_gvisor.report.trials import Trial
from pyinfra_gvisor.trials.asked import Asked
from pyinfra_gvisor.trials.judged import END, trial
from tests.table import table
from tests.unit.trials.seen_trials import asked, difference, ended, refused, seen


def judged(lines: list[str], of: Asked | None = None) -> Trial:
    return trial("a", lines, of or asked())


@table(
    "lines, verdict, why",
    alike=(seen(), "works alone", ""),
    a_job=(seen(ended(0), ended(0)), "works alone", ""),
    errors=(seen(news=("error: N",)), "works, but differs", "log has errors"),
    no_port=(seen({"ports": ""}), "works, but differs", "did not listen on TCP port 80"),
    more_ports=(seen({"ports": "80 81"}), "works, but differs", "listened on TCP port 81"),
    any_port=(seen({"ports": "80 40001"}, {"ports": "80 40002"}), "works alone", ""),
    ends_early=(seen(ended(0)), "works, but differs", "the twin ended with code 0"),
    starting=(
        seen({"health": "starting"}, {"health": "healthy"}),
        *("works, but differs", "health of the twin: starting"),
    ),
    only_control_fails=(
        seen(None, ended(7)),
        "works, but differs",
        "the control ended with code 7",
    ),
    fails=(seen(ended(3)), "fails here", "the twin ended with code 3 after 0.3 s; the control ran"),
    unhealthy=(
        seen({"health": "unhealthy"}, {"health": "healthy"}),
        *("fails here", "the twin ran to the end, unhealthy"),
    ),
    refused=(seen(refused("denied: mount of /x")), "fails here", "did not start: denied: mount of"),
    memory=(seen(ended(137, oom="yes")), "fails here", "out of memory"),
    own_limit=(seen(ended(137, oom="yes", limit=512)), "not known", "512 MiB were not enough"),
    both=(seen(ended(3), ended(3)), "not known", "the control fails, too"),
)
def test_a_verdict_needs_the_control(lines: list[str], verdict: str, why: str) -> None:
    found = judged(lines)

    assert found.verdict == verdict
    assert why in "; ".join(found.why)
    assert bool(found.why) == (verdict != "works alone")
    assert bool(found.todo) == (verdict in ("fails here", "not known"))


def test_what_docker_would_refuse_fails_whatever_the_twin_does_without_it() -> None:
    found = judged(seen(), asked(difference(REFUSED), assumed=True))

    assert found.verdict == "fails here"
    assert 'It fails, when gvisor_default is "sandbox": this' in found.why
    assert found.rules == ()


def test_the_remedy_is_that_of_the_rule_that_matches() -> None:
    found = judged(seen(ended(3)), asked(difference("raw-socket"), difference("tmp", "differs")))

    assert found.todo == ("It fails. Change it",)
    assert "rule tmp: differs: It fails (this)" in [*found.lines]


@pytest.mark.parametrize("control", [True, False])
def test_what_rules_say_to_fail_does_not_work_because_its_twin_does_alone(control: bool) -> None:
    unmet = (difference("shared-socket"), difference("watched-files", "differs"))

    found = judged(seen(), asked(*unmet, control=control))

    assert found.verdict == "not known"
    assert "rules say otherwise: shared-socket, watched-files" in found.why[0]
    assert found.todo == ("It fails. Change it",)


def test_without_a_control_a_failure_is_not_known() -> None:
    lines = [line for line in seen(ended(3), news=("error",)) if not line.startswith("control")]

    found = judged(lines, asked(control=False))

    assert found.verdict == "not known"
    assert "--control" in found.todo[0]
    assert {"control under runc: none", "in its log: error"} <= {*found.lines}


def test_a_verdict_is_told_first_with_the_seconds_and_never_promises_more() -> None:
    told = [*judged(seen({"ready": "1.25"}, {"left": "privileged", "empty": "/data"})).lines]

    assert told[0] == "shop in gVisor (runtime runsc): works alone for 20 s"
    assert told[1] == "twin: ran to the end, listened on 80 after 1.2 s"
    assert "left out of the control only: privileged" in told
    assert "compatible" not in "\n".join(told)


def test_what_is_not_known_of_refusals_is_told() -> None:
    found = judged(seen(), replace(asked(), unknown="no answer"))

    assert "UNKNOWN what Docker would refuse: no answer" in [*found.lines]


def test_an_app_that_is_accepted_for_runc_is_said_to_stay_there() -> None:
    outside = asked().outlook.model_copy(update={"outlook": "outside"})

    found = judged(seen(), replace(asked(), outlook=outside))

    assert "accepted for runc: a move leaves it there" in [*found.lines]


def test_a_node_cannot_write_on_the_terminal() -> None:
    told = judged(seen(refused("\x1b[31mred\r"), news=("error \x1b]0;title\x07",)))

    assert all(line.isprintable() for line in told.lines)


BROKEN: dict[str, Any] = {
    "nothing": ([], "ends with: nothing"),
    "cut": (seen()[:-1], "it ends with"),
    "no-twin": (["control\tstart\tok", END], "nothing was seen of the twin"),
    "malformed": (["twin start", END], "not enough values"),
}


@table("lines, why", BROKEN)
def test_an_answer_that_is_not_whole_is_an_error(lines: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        judged(lines)
