"""What is done on a control host, by what it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.coolify.compose_file import merged
from pyinfra_gvisor.coolify.control_host import ControlHost
from pyinfra_gvisor.coolify.files import COMPOSE, ENTRY, KEEPER, MOUNTS, TIMER, idle_entry_text
from pyinfra_gvisor.coolify.plan import OptionPlan, PersistencePlan, plan_option, plan_persistence
from tests.unit.coolify_answers import (
    HONOURED,
    MASTER,
    OURS,
    compose,
    container,
    host,
    lies,
    patched,
    persistent,
    php,
)

THEIRS = "services:\n  coolify:\n    labels:\n      - mine=1\n"
IDLE = NodeFile(ENTRY, "644", idle_entry_text())
MOUNTED = OURS[:2]
KEPT = OURS[2:]


def lost(found: ControlHost) -> str:
    """Why a plan refuses."""
    with pytest.raises(Problem) as error:
        plan_option(found, present=True)
    return str(error.value)


def test_a_function_that_drops_the_option_is_mended() -> None:
    plan = plan_option(host(container(), *php()), present=True)

    assert plan.action == "apply"
    assert plan.lines == ("Coolify 4.3.11 drops --runtime: patch convertDockerRunToCompose()",)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(patched(), id="patched"),
        pytest.param(patched(MASTER), id="patched-with-new-workers"),
        pytest.param(php("native", probe=HONOURED), id="native"),
        pytest.param(php("native", "stale 11", probe=HONOURED), id="native-with-old-workers"),
    ],
)
def test_a_coolify_that_honours_it_is_left_alone(told: list[str]) -> None:
    assert plan_option(host(container(), *told), present=True) == OptionPlan()


def test_workers_with_old_code_are_ended_and_asked_once() -> None:
    old = plan_option(host(container(), *patched(MASTER, "stale 11")), present=True)
    asked = plan_option(
        host(container(), *patched(MASTER, "stale 11", "asked_s 1790000002.00")), present=True
    )

    assert (old.action, asked.action) == ("apply", "nothing")
    assert "end Horizon gracefully" in old.lines[0]
    assert "finishes its running deployments first" in asked.lines[0]


def test_workers_that_still_have_our_lines_are_ended_too() -> None:
    old = plan_option(host(container(), *php("unpatched", MASTER, "stale 11")), present=False)
    asked = plan_option(
        host(container(), *php("unpatched", MASTER, "stale 11", "asked_s 1790000002")),
        present=False,
    )

    assert (old.action, asked.action) == ("remove", "nothing")


def test_lines_of_ours_that_do_nothing_are_mended() -> None:
    told = php("patched", "block present", probe="[]")

    plan = plan_option(host(container(), *told), present=True)

    assert plan.action == "apply"
    assert "has our lines but drops --runtime: patch it again" in plan.lines[0]


def test_older_lines_of_ours_are_replaced_even_if_they_work() -> None:
    told = php("patched", "block other", probe=HONOURED)

    plan = plan_option(host(container(), *told), present=True)

    assert plan.action == "apply"
    assert "outdated or edited lines of ours: replace them" in plan.lines[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param([], "no Coolify on this host: no container is named coolify", id="none"),
        pytest.param(["docker_error gone"], "Docker does not answer, got gone", id="no-docker"),
        pytest.param(
            [container(running=False)],
            "Coolify does not run; run `docker start coolify`",
            id="stopped",
        ),
        pytest.param(
            [container(), "php_error no php"],
            "Coolify's source cannot be read, got no php",
            id="no-php",
        ),
        pytest.param(
            [container(), *php("damaged", "reason two returns", probe=None)],
            "for Custom Docker Options: two returns, got 4.3.11; nothing was changed",
            id="damaged",
        ),
        pytest.param(
            [container(), *php("missing", probe=None)], "unknown version of", id="missing"
        ),
        pytest.param(
            [container(), *php("native", probe='{"runtime":["runscprobe"]}')],
            "knows --runtime but does not pass it on as one string",
            id="a-native-list",
        ),
    ],
)
def test_what_cannot_be_mended_is_refused_with_the_reason(lines: list[str], said: str) -> None:
    assert said in lost(host(*lines))


def test_a_host_without_docker_is_no_control_host() -> None:
    assert "no Coolify on this host: Docker is not installed" in lost(host(docker=False))


@pytest.mark.parametrize(
    ("lines", "action"),
    [
        pytest.param([container(), *patched()], "remove", id="patched"),
        pytest.param([container(), *php("damaged", "reason x")], "remove", id="damaged"),
        pytest.param([container(), *php()], "nothing", id="unpatched"),
        pytest.param([container(), *php("native")], "nothing", id="native"),
        pytest.param([], "nothing", id="no-coolify"),
    ],
)
def test_our_lines_are_taken_out_where_they_are(lines: list[str], action: str) -> None:
    assert plan_option(host(*lines), present=False).action == action


@pytest.mark.parametrize(
    "text",
    [pytest.param(None, id="no-file"), pytest.param(THEIRS, id="somebody-else's-file")],
)
def test_a_bare_host_gets_every_file_and_a_merged_compose_file(text: str | None) -> None:
    lines = [] if text is None else [compose(text)]

    plan = plan_persistence(host(container(), *patched(), *lines), present=True)

    assert plan.action == "install"
    assert plan.files == OURS
    assert (plan.compose_before, plan.compose_after) == (text, merged(text, MOUNTS))
    assert f"write {ENTRY}" in plan.lines
    word = "create" if text is None else "change"
    assert f"{word} {COMPOSE} for the next upgrade:" in plan.lines


@pytest.mark.parametrize(
    "mounts",
    [pytest.param((), id="before-an-upgrade"), pytest.param(MOUNTS, id="behind-one")],
)
def test_a_host_that_is_as_declared_is_left_so(mounts: Sequence[str]) -> None:
    found = host(*persistent(mounts=mounts, text=THEIRS), *patched())

    assert plan_persistence(found, present=True) == PersistencePlan()


def test_coolifys_installer_may_give_what_is_below_its_directory_to_the_containers_user() -> None:
    chowned = lies(*MOUNTED, mode="700", owner="9999:0")

    plan = plan_persistence(host(*persistent(), *chowned, *patched()), present=True)

    assert plan == PersistencePlan()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(lies(*MOUNTED, mode="600", owner="1000:0"), f"write {ENTRY}", id="unreadable"),
        pytest.param(lies(*KEPT, owner="9999:0"), f"write {KEEPER}", id="roots-own-is-anothers"),
        pytest.param(
            ["compose absent"], f"create {COMPOSE} for the next upgrade:", id="no-compose"
        ),
        pytest.param(["timer inactive"], "start pyinfra-gvisor-coolify.timer", id="no-timer"),
        pytest.param([f"file sum {'0' * 64} {TIMER}"], f"write {TIMER}", id="another-unit"),
    ],
)
def test_what_is_not_as_declared_is_put_right(lines: list[str], expected: str) -> None:
    plan = plan_persistence(host(*persistent(), *lines, *patched()), present=True)

    assert plan.action == "install"
    assert expected in plan.lines


def test_a_coolify_that_needs_nothing_gets_nothing() -> None:
    found = host(container(), *php("native", probe=HONOURED))

    assert plan_persistence(found, present=True) == PersistencePlan()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(
            ["init init"], "the timer needs systemd on the control host, got init", id="no-systemd"
        ),
        pytest.param(["compose unreadable"], "cannot be read: unreadable", id="unreadable"),
        pytest.param([compose("a: [\n")], "", id="no-yaml"),
        pytest.param([], "no Coolify on this host", id="no-coolify"),
    ],
)
def test_a_host_that_cannot_keep_it_is_refused(lines: list[str], said: str) -> None:
    there = [] if said == "no Coolify on this host" else [container(), *patched()]

    with pytest.raises(Problem) as error:
        plan_persistence(host(*there, *lines), present=True)

    assert said in str(error.value)


def test_a_removal_gives_the_compose_file_back_and_leaves_nothing() -> None:
    plan = plan_persistence(host(*persistent(mounts=(), text=THEIRS), *php()), present=False)

    assert (plan.action, plan.keeps_mounts) == ("remove", False)
    assert plan.compose_after == THEIRS
    assert f"remove {ENTRY}" in plan.lines
    assert f"remove {KEEPER}" in plan.lines


def test_what_the_container_needs_to_start_stays_and_does_nothing() -> None:
    plan = plan_persistence(host(*persistent(), *php()), present=False)

    assert plan.keeps_mounts
    assert plan.files == (IDLE,)
    assert f"remove {ENTRY}" not in plan.lines
    assert f"keep {ENTRY} without effect" in plan.lines[-1]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no-coolify"),
        pytest.param([container(), *php()], id="nothing-of-ours"),
        pytest.param([container(), compose(THEIRS), *php()], id="another's-compose-file"),
        pytest.param(
            [container(mounts=MOUNTS), *lies(MOUNTED[0], IDLE), *php()], id="idle-and-mounted"
        ),
    ],
)
def test_a_removal_of_nothing_changes_nothing(lines: list[str]) -> None:
    assert plan_persistence(host(*lines), present=False).action == "nothing"


def test_an_idle_entry_script_goes_once_it_is_not_mounted() -> None:
    found = host(container(), *lies(MOUNTED[0], IDLE), *php())

    assert plan_persistence(found, present=False).lines[-1] == f"remove {ENTRY}"
