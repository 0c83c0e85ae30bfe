"""An answer that cannot be trusted is a ``ValueError``: this host fails, and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinfra_gvisor.node import parse_node
from tests.unit.answers import END, Running, answer, in_base64

DOCUMENT: dict[str, Any] = {
    "Id": "b" * 64,
    "Name": "/x",
    "State": {"Pid": 5},
    "HostConfig": {},
    "Mounts": [],
}


def with_line(line: str) -> list[str]:
    """A good answer, with one more line that counts for more than an earlier one of its key."""
    return [*answer()[:-1], line, END]


@pytest.mark.parametrize(
    "output",
    [
        pytest.param([], id="nothing"),
        pytest.param(["sudo: a password is required"], id="sudo"),
        pytest.param(answer()[:-1], id="last-line-missing"),
        pytest.param(answer()[:5], id="half"),
        pytest.param([*answer()[:-1], END + "x"], id="last-line-garbled"),
        pytest.param([*answer()[:-1], "container {" + END], id="last-line-glued-to-another"),
    ],
)
def test_an_answer_that_breaks_off_is_refused_and_says_so(output: list[str]) -> None:
    with pytest.raises(ValueError, match=f"ends after {len(output)} lines"):
        parse_node(output)


@pytest.mark.parametrize(
    "key",
    [pytest.param(key, id=key) for key in ("uname", "page_size", "cgroup", "daemon_json", "clock")],
)
def test_an_answer_without_what_every_node_has_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node(answer(without=(key,)))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("uname 6.12.9", id="uname-short"),
        pytest.param("page_size many", id="page-size-no-number"),
        pytest.param("page_size ", id="page-size-empty"),
        pytest.param("cgroup x", id="cgroup"),
        pytest.param("os debian", id="os-short"),
        pytest.param("max_user_namespaces lots", id="user-namespaces"),
        pytest.param("dockerd 812", id="dockerd-short"),
        pytest.param("dockerd 812 x !!", id="dockerd-no-number"),
        pytest.param("dockerd 812 6000 !", id="dockerd-no-base64"),
        pytest.param("clock soon", id="clock"),
        pytest.param("daemon_json", id="daemon-json-empty"),
        pytest.param("daemon_json gone", id="daemon-json-unknown-state"),
        pytest.param("daemon_json text 644 0:0", id="daemon-json-short"),
        pytest.param("daemon_json text 644 0:0 now abc e30=", id="daemon-json-mtime"),
        pytest.param("daemon_json text 644 0:0 1 abc e30", id="daemon-json-base64"),
        pytest.param("wrapper abc", id="wrapper-short"),
        pytest.param("process 12", id="process-short"),
        pytest.param("info", id="info-empty"),
        pytest.param("info {", id="info-cut-off"),
        pytest.param("info []", id="info-a-list"),
        pytest.param("info {}", id="info-without-version"),
        pytest.param('info {"ServerVersion": 3}', id="info-wrong-type"),
        pytest.param('info {"ServerVersion":"26","Runtimes":[]}', id="info-runtimes-a-list"),
        pytest.param("container", id="container-empty"),
        pytest.param("container {", id="container-cut-off"),
        pytest.param("container []", id="container-a-list"),
        pytest.param("container null", id="container-null"),
        pytest.param("container {}", id="container-without-anything"),
        pytest.param("container " + "[" * 100_000, id="container-nested-too-deep"),
    ],
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_node(with_line(line))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"Id": None}, id="id-null"),
        pytest.param({"Name": None}, id="name-null"),
        pytest.param({"State": None}, id="state-null"),
        pytest.param({"State": {}}, id="no-pid"),
        pytest.param({"State": {"Pid": "x"}}, id="pid-no-number"),
        pytest.param({"HostConfig": None}, id="host-config-null"),
        pytest.param({"HostConfig": []}, id="host-config-a-list"),
        pytest.param({"Mounts": [None]}, id="mount-null"),
        pytest.param({"Mounts": ["x"]}, id="mount-text"),
        pytest.param({"Mounts": 7}, id="mounts-a-number"),
    ],
)
def test_a_container_that_is_not_as_docker_says_is_refused(changes: dict[str, Any]) -> None:
    line = f"container {json.dumps({**DOCUMENT, **changes})}"

    with pytest.raises(ValueError, match=r"."):
        parse_node(with_line(line))


@pytest.mark.parametrize(
    "cut", [pytest.param(share, id=f"{share}%") for share in range(5, 100, 10)]
)
def test_an_answer_cut_off_anywhere_is_refused(cut: int) -> None:
    text = "\n".join(answer(daemon_json='{"a": 1}', containers=[Running("x"), Running("y", pid=2)]))

    with pytest.raises(ValueError, match="is incomplete"):
        parse_node(text[: len(text) * cut // 100].split("\n"))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("something new", id="unknown-key"),
        pytest.param("", id="empty"),
        pytest.param("Warning: the login shell says hello", id="a-greeting"),
    ],
)
def test_a_line_that_nobody_knows_is_passed_over(line: str) -> None:
    assert parse_node([line, *answer()]) == parse_node(answer())


@pytest.mark.parametrize(
    "record", [pytest.param("[" * 100_000, id="too-deep"), pytest.param("{", id="cut-off")]
)
def test_a_damaged_record_of_ours_does_not_hide_the_node(record: str) -> None:
    found = parse_node(with_line(f"state.applied {in_base64(record)}"))

    assert "applied" not in found.state
