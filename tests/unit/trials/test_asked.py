"""Which container is tried."""

from typing import Literal

import pytest

from pyinfra_gvisor.apps.seen import Apps, parse_apps
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.report.outlooks import AppOutlook, AppOutlooks
from pyinfra_gvisor.trials.asked import asked_trial, find_app, given_trial
from tests.table import table
from tests.unit.apps.looked import around, looked, looked_lines


def running(*names: str) -> Apps:
    return parse_apps(looked_lines(*(looked(name) for name in names)))


def test_a_container_is_found_by_its_name_its_id_and_the_beginning_of_that() -> None:
    apps = running("shop", "shop-db")
    (shop, _) = apps.apps

    assert {find_app(text, apps).name for text in ("shop", shop.id, shop.id[:12])} == {"shop"}


@table(
    "given, todo",
    near=("shop-bd", "did you mean shop-db?"),
    part=("database", "did you mean the-database-1?"),
    other=("x", "the running ones are shop-db, the-database-1"),
)
def test_an_unknown_one_is_refused_with_names_that_are_near(given: str, todo: str) -> None:
    with pytest.raises(Problem) as refused:
        find_app(given, running("shop-db", "the-database-1"))

    assert refused.value.todo == todo


@table(
    "given, what",
    no_name=((None, None, None), "trial_app is no container"),
    a_flag=(("--rm", None, None), "trial_app is no container"),
    number=((123456789012, None, None), "trial_app is no container"),
    long=(("shop", 121, None), "trial_seconds"),
    text=(("shop", "20", None), "trial_seconds"),
    perhaps=(("shop", 20, "yes"), "trial_control"),
)
def test_what_is_no_trial_is_refused(given: tuple[object, object, object], what: str) -> None:
    with pytest.raises(Problem, match=what):
        given_trial(*given)


@table(
    "now, runtime, control, has",
    runc=("runc", "runc", False, True),
    default=("runc", "gvisordefault", False, True),
    in_gvisor=("gVisor", "runsc", False, False),
    not_seen=("unknown", "runsc", False, False),
    not_seen_but_named_so=("unknown", "runc", False, False),
    another_sandbox=("runc", "sysbox-runc", False, False),
    asked_for=("gVisor", "runsc", True, True),
)
def test_only_what_was_seen_under_runc_has_a_control_by_itself(
    now: Literal["runc", "gVisor", "unknown"], runtime: str, *, control: bool, has: bool
) -> None:
    app, _ = around(looked("shop", Runtime=runtime))
    outlook = AppOutlook(name="shop", image="x", now=now, runtime="runsc", outlook="nothing known")
    told = AppOutlooks(host="a", apps=(outlook,), assumed=False, switched=True)

    assert asked_trial(app, told, 20, control=control).control is has


def test_a_trial_has_usual_seconds_and_no_further_control() -> None:
    assert given_trial("shop", None, None) == ("shop", 20, False)
