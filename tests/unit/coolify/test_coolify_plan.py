"""What a control host says of itself, and what is done on it then."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.coolify.compose_file import merged
from pyinfra_gvisor.coolify.control_host import END, parse_control_host
from pyinfra_gvisor.coolify.files import (
    COMPOSE,
    ENTRY,
    KEEPER,
    MOUNTS,
    PATCHER,
    TIMER,
    idle_entry_text,
)
from pyinfra_gvisor.coolify.plan import OptionPlan, PersistencePlan, plan_option, plan_persistence
from tests.unit.coolify.coolify_answers import (
    HONOURED,
    MASTER,
    OURS,
    answer,
    compose,
    container,
    host,
    lies,
    patched,
    persistent,
    php,
)


def test_a_control_host_is_read_whole() -> None:
    found = host(
        *persistent(), *patched(MASTER, "stale 11", "asked_s 1790000002.50"), "redeploy abc"
    )

    assert found.container is not None
    assert found.container.running
    assert [mount.target for mount in found.container.mounts] == [
        mount.split(":")[1] for mount in MOUNTS
    ]
    function = found.function
    assert function is not None
    assert (function.state, function.version, function.honours) == ("patched", "4.3.11", True)
    assert [(item.pid, item.command) for item in function.workers] == [(11, "php artisan horizon")]
    assert (function.stale, function.asked_s) == ((11,), 1790000002.5)
    assert found.files.keys() == {item.path for item in OURS} >= {ENTRY, PATCHER, TIMER}
    assert (found.timer, found.timer_enabled) == ("active", True)
    assert found.redeploys == {"abc"}


@pytest.mark.parametrize(
    ("probe", "honours"),
    [
        pytest.param('{"runtime":"runscprobe"}', True, id="a-string"),
        pytest.param('{"runtime":["runscprobe"]}', False, id="a-list-which-compose-refuses"),
        pytest.param('{"runtime":"runc"}', False, id="another-one"),
        pytest.param("[]", False, id="dropped"),
        pytest.param("no JSON", False, id="no-json"),
        pytest.param(None, False, id="no-answer"),
    ],
)
def test_only_one_string_that_was_asked_for_counts_as_honoured(
    probe: str | None, honours: bool
) -> None:
    function = host(container(), *php("patched", probe=probe)).function

    assert function is not None
    assert function.honours is honours


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="nothing"),
        pytest.param(answer(container())[:-1], id="cut-short"),
        pytest.param(["container {", END], id="no-json"),
        pytest.param(["file neither 00 /x", END], id="an-odd-file"),
        pytest.param(["php function odd", "php end", END], id="an-odd-state"),
        pytest.param(["php worker x", "php end", END], id="an-odd-worker"),
        pytest.param(["compose text 00 !", END], id="no-base64"),
    ],
)
def test_an_answer_that_is_malformed_is_refused(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="the control host's answer is"):
        parse_control_host(lines)


THEIRS = "services:\n  coolify:\n    labels:\n      - mine=1\n"
IDLE = NodeFile(ENTRY, "644", idle_entry_text())
MOUNTED = OURS[:2]
KEPT = OURS[2:]
RUNS = (container(), *patched())


@pytest.mark.parametrize(
    ("told", "line"),
    [
        pytest.param(
            php(), "Coolify 4.3.11 drops --runtime: patch convertDockerRunToCompose()", id="none"
        ),
        pytest.param(
            php("patched", "block present", probe="[]"),
            "convertDockerRunToCompose() has our lines but drops --runtime: patch it again",
            id="lines-that-do-nothing",
        ),
        pytest.param(
            php("patched", "block other", probe=HONOURED),
            "convertDockerRunToCompose() has outdated or edited lines of ours: replace them",
            id="older-lines",
        ),
    ],
)
def test_a_function_without_lines_that_work_is_mended(told: list[str], line: str) -> None:
    plan = plan_option(host(container(), *told), present=True)

    assert (plan.action, plan.lines) == ("apply", (line,))


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


@pytest.mark.parametrize(
    ("present", "told"),
    [
        pytest.param(True, patched(MASTER, "stale 11"), id="before-the-patch"),
        pytest.param(False, php("unpatched", MASTER, "stale 11"), id="before-its-removal"),
    ],
)
def test_workers_with_old_code_are_ended_and_asked_once(present: bool, told: list[str]) -> None:
    asked = [*told[:-1], "php asked_s 1790000002.00", told[-1]]

    first = plan_option(host(container(), *told), present=present)
    second = plan_option(host(container(), *asked), present=present)

    assert (first.action, second.action) == ("apply" if present else "remove", "nothing")
    assert "end Horizon gracefully" in first.lines[0]
    assert "finishes its running deployments first" in second.lines[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(None, "this host: Docker is not installed", id="docker-not-there"),
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
def test_what_cannot_be_mended_is_refused_with_the_reason(
    lines: list[str] | None, said: str
) -> None:
    with pytest.raises(Problem) as error:
        plan_option(host(*(lines or ()), docker=lines is not None), present=True)

    assert said in str(error.value)


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
    "lines",
    [
        pytest.param([*persistent(mounts=(), text=THEIRS), *patched()], id="before-an-upgrade"),
        pytest.param([*persistent(text=THEIRS), *patched()], id="behind-one"),
        pytest.param(
            [*persistent(), *lies(*MOUNTED, mode="700", owner="9999:0"), *patched()],
            id="given-to-the-containers-user-by-coolifys-installer",
        ),
        pytest.param([container(), *php("native", probe=HONOURED)], id="nothing-needed"),
    ],
)
def test_a_host_that_is_as_declared_is_left_so(lines: list[str]) -> None:
    assert plan_persistence(host(*lines), present=True) == PersistencePlan()


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


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(
            [*RUNS, "init init"],
            "the timer needs systemd on the control host, got init",
            id="no-systemd",
        ),
        pytest.param([*RUNS, "compose unreadable"], "cannot be read: unreadable", id="unreadable"),
        pytest.param([*RUNS, compose("a: [\n")], "not YAML", id="no-yaml"),
        pytest.param([], "no Coolify on this host", id="no-coolify"),
    ],
)
def test_a_host_that_cannot_keep_it_is_refused(lines: list[str], said: str) -> None:
    with pytest.raises(Problem) as error:
        plan_persistence(host(*lines), present=True)

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


def test_an_idle_entry_script_goes_once_it_is_not_mounted() -> None:
    found = host(container(), *lies(MOUNTED[0], IDLE), *php())

    assert plan_persistence(found, present=False).lines[-1] == f"remove {ENTRY}"


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
