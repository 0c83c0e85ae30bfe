"""What a control host says of itself, and what is done on it then."""

import re

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.coolify import files
from pyinfra_gvisor.coolify.compose_file import merged
from pyinfra_gvisor.coolify.control_host import END, parse_control_host
from pyinfra_gvisor.coolify.plan import OptionPlan, PersistencePlan, plan_option, plan_persistence
from tests.table import table
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

THEIRS = "services:\n  coolify:\n    labels:\n      - mine=1\n"
IDLE = NodeFile(files.ENTRY, "644", files.idle_entry_text())
MOUNTED = OURS[:2]
RUNS = (container(), *patched())


def test_a_control_host_is_read_whole() -> None:
    found = host(*persistent(), *patched(MASTER, "stale 11", "asked_s 1790000002.50"), "redeploy a")

    assert found.container.running
    assert [mount.target for mount in found.container.mounts] == [
        mount.split(":")[1] for mount in files.MOUNTS
    ]
    function = found.function
    assert (function.state, function.version, function.honours) == ("patched", "4.3.11", True)
    assert [(item.pid, item.command) for item in function.workers] == [(11, "php artisan horizon")]
    assert (function.stale, function.asked_s) == ((11,), 1790000002.5)
    assert found.files.keys() == set(files.paths())
    assert (found.timer, found.timer_enabled, found.redeploys) == ("active", True, {"a"})


@table(
    "probe, honours",
    a_string=('{"runtime":"runscprobe"}', True),
    a_list_which_compose_refuses=('{"runtime":["runscprobe"]}', False),
    another_one=('{"runtime":"runc"}', False),
    dropped=("[]", False),
    no_json=("no JSON", False),
    no_answer=(None, False),
)
def test_only_the_string_asked_for_counts_as_honoured(probe: str | None, honours: bool) -> None:
    assert host(container(), *php("patched", probe=probe)).function.honours is honours


@table(
    "lines",
    nothing=[],
    cut_short=answer(container())[:-1],
    no_json=["container {", END],
    an_odd_file=["file neither 00 /x", END],
    an_odd_state=["php function odd", "php end", END],
    an_odd_worker=["php worker x", "php end", END],
    no_base64=["compose text 00 !", END],
)
def test_an_answer_that_is_malformed_is_refused(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="the control host's answer is"):
        parse_control_host(lines)


@table(
    "told, line",
    none=(php(), "Coolify 4.3.11 drops --runtime: patch convertDockerRunToCompose()"),
    lines_that_do_nothing=(
        php("patched", "block present", probe="[]"),
        "convertDockerRunToCompose() has our lines but drops --runtime: patch it again",
    ),
    older_lines=(
        php("patched", "block other", probe=HONOURED),
        "convertDockerRunToCompose() has outdated or edited lines of ours: replace them",
    ),
)
def test_a_function_without_lines_that_work_is_mended(told: list[str], line: str) -> None:
    plan = plan_option(host(container(), *told), present=True)

    assert (plan.action, plan.lines) == ("apply", (line,))


@table(
    "told",
    patched=patched(),
    patched_with_new_workers=patched(MASTER),
    native=php("native", probe=HONOURED),
    native_with_old_workers=php("native", "stale 11", probe=HONOURED),
)
def test_a_coolify_that_honours_it_is_left_alone(told: list[str]) -> None:
    assert plan_option(host(container(), *told), present=True) == OptionPlan()


@table(
    "present, told",
    before_the_patch=(True, patched(MASTER, "stale 11")),
    before_its_removal=(False, php("unpatched", MASTER, "stale 11")),
)
def test_workers_with_old_code_are_ended_and_asked_once(present: bool, told: list[str]) -> None:
    asked = [*told[:-1], "php asked_s 1790000002.00", told[-1]]

    first = plan_option(host(container(), *told), present=present)
    second = plan_option(host(container(), *asked), present=present)

    assert (first.action, second.action) == ("apply" if present else "remove", "nothing")
    assert "restart Horizon" in first.lines[0]
    assert "finishes its running deployments first" in second.lines[0]


@table(
    "lines, said",
    docker_not_there=(None, "this host: Docker is not installed"),
    none=([], "no Coolify on this host: no container is named coolify"),
    no_docker=(["docker_error gone"], "Docker does not answer, got gone"),
    stopped=([container(running=False)], "Coolify does not run; run `docker start coolify`"),
    no_php=([container(), "php_error no php"], "Coolify's source cannot be read, got no php"),
    damaged=(
        [container(), *php("damaged", "reason two returns", probe=None)],
        "for Custom Docker Options: two returns, got 4.3.11; nothing was changed",
    ),
    missing=([container(), *php("missing", probe=None)], "unknown version of"),
    a_native_list=(
        [container(), *php("native", probe='{"runtime":["runscprobe"]}')],
        "knows --runtime but does not pass it on as one string",
    ),
)
def test_what_cannot_be_mended_is_refused_with_a_reason(lines: list[str] | None, said: str) -> None:
    with pytest.raises(Problem, match=re.escape(said)):
        plan_option(host(*(lines or ()), docker=lines is not None), present=True)


@table(
    "lines, action",
    patched=([container(), *patched()], "remove"),
    damaged=([container(), *php("damaged", "reason x")], "remove"),
    unpatched=([container(), *php()], "nothing"),
    native=([container(), *php("native")], "nothing"),
    no_coolify=([], "nothing"),
)
def test_our_lines_are_taken_out_where_they_are(lines: list[str], action: str) -> None:
    assert plan_option(host(*lines), present=False).action == action


@table("text", no_file=None, somebody_elses_file=THEIRS)
def test_a_bare_host_gets_every_file_and_a_merged_compose_file(text: str | None) -> None:
    lines = [] if text is None else [compose(text)]

    plan = plan_persistence(host(container(), *patched(), *lines), present=True)

    assert (plan.action, plan.files) == ("install", OURS)
    assert (plan.compose_before, plan.compose_after) == (text, merged(text, files.MOUNTS))
    assert f"write {files.ENTRY}" in plan.lines
    word = "create" if text is None else "change"
    assert f"{word} {files.COMPOSE} for the next upgrade:" in plan.lines


@table(
    "lines",
    before_an_upgrade=[*persistent(mounts=(), text=THEIRS), *patched()],
    behind_one=[*persistent(text=THEIRS), *patched()],
    given_to_the_containers_user_by_coolifys_installer=(
        [*persistent(), *lies(*MOUNTED, mode="700", owner="9999:0"), *patched()]
    ),
    nothing_needed=[container(), *php("native", probe=HONOURED)],
)
def test_a_host_that_is_as_declared_is_left_so(lines: list[str]) -> None:
    assert plan_persistence(host(*lines), present=True) == PersistencePlan()


@table(
    "lines, expected",
    unreadable=(lies(*MOUNTED, mode="600", owner="1000:0"), f"write {files.ENTRY}"),
    roots_own_is_anothers=(lies(*OURS[2:], owner="9999:0"), f"write {files.KEEPER}"),
    no_compose=(["compose absent"], f"create {files.COMPOSE} for the next upgrade:"),
    no_timer=(["timer inactive"], "start pyinfra-gvisor-coolify.timer"),
    another_unit=([f"file sum {'0' * 64} {files.TIMER}"], f"write {files.TIMER}"),
)
def test_what_is_not_as_declared_is_put_right(lines: list[str], expected: str) -> None:
    plan = plan_persistence(host(*persistent(), *lines, *patched()), present=True)

    assert plan.action == "install"
    assert expected in plan.lines


@table(
    "lines, said",
    no_systemd=([*RUNS, "init init"], "the timer needs systemd on the control host, got init"),
    unreadable=([*RUNS, "compose unreadable"], "cannot be read: unreadable"),
    no_yaml=([*RUNS, compose("a: [\n")], "not YAML"),
    no_coolify=([], "no Coolify on this host"),
)
def test_a_host_that_cannot_keep_it_is_refused(lines: list[str], said: str) -> None:
    with pytest.raises(Problem, match=said):
        plan_persistence(host(*lines), present=True)


def test_a_removal_gives_the_compose_file_back_and_leaves_nothing() -> None:
    plan = plan_persistence(host(*persistent(mounts=(), text=THEIRS), *php()), present=False)

    assert (plan.action, plan.keeps_mounts, plan.compose_after) == ("remove", False, THEIRS)
    assert f"remove {files.ENTRY}" in plan.lines
    assert f"remove {files.KEEPER}" in plan.lines


def test_what_the_container_needs_to_start_stays_without_effect_until_it_is_not_mounted() -> None:
    plan = plan_persistence(host(*persistent(), *php()), present=False)
    unmounted = host(container(), *lies(MOUNTED[0], IDLE), *php())

    assert plan.keeps_mounts
    assert plan.files == (IDLE,)
    assert f"remove {files.ENTRY}" not in plan.lines
    assert f"keep {files.ENTRY} without effect" in plan.lines[-1]
    assert plan_persistence(unmounted, present=False).lines[-1] == f"remove {files.ENTRY}"


@table(
    "lines",
    no_coolify=[],
    nothing_of_ours=[container(), *php()],
    anothers_compose_file=[container(), compose(THEIRS), *php()],
    idle_and_mounted=[container(mounts=files.MOUNTS), *lies(MOUNTED[0], IDLE), *php()],
)
def test_a_removal_of_nothing_changes_nothing(lines: list[str]) -> None:
    assert plan_persistence(host(*lines), present=False).action == "nothing"
