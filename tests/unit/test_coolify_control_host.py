"""What a control host says of itself, and what is made of it."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.coolify.control_host import END, ComposeFile, parse_control_host
from pyinfra_gvisor.coolify.files import ENTRY, MOUNTS, PATCHER, REDEPLOYS, TIMER
from tests.unit.coolify_answers import (
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


def test_a_host_without_coolify_is_told_from_one_with_it() -> None:
    bare, without = host(docker=False), host()

    assert (bare.docker, bare.container, bare.function) == (False, None, None)
    assert (without.docker, without.container) == (True, None)


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


def test_a_patcher_that_was_cut_short_says_nothing() -> None:
    found = host(container(), *patched()[:-1])

    assert found.function is None


def test_what_docker_says_besides_is_passed_over() -> None:
    found = host(container(), "php WARNING: no config file", *patched())

    assert found.function is not None
    assert found.function.state == "patched"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("compose absent", ComposeFile(), id="absent"),
        pytest.param("compose unreadable", ComposeFile(state="unreadable"), id="unreadable"),
        pytest.param("compose text 00 //4=", ComposeFile(state="not utf-8"), id="not-utf-8"),
        pytest.param(
            compose("services:\n"),
            ComposeFile(state="text", text="services:\n"),
            id="text",
        ),
    ],
)
def test_a_compose_file_is_absent_unreadable_or_text(line: str, expected: ComposeFile) -> None:
    found = host(line).compose

    assert (found.state, found.text) == (expected.state, expected.text)


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


def test_files_are_known_by_content_mode_and_owner() -> None:
    found = host(*lies(*OURS, mode="700", owner="9999:0"))

    assert {(item.mode, item.owner) for item in found.files.values()} == {("700", "9999:0")}


def test_what_is_owed_lies_beside_our_other_records() -> None:
    assert REDEPLOYS.startswith("/var/lib/pyinfra-gvisor/")
