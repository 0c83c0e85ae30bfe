"""Whether a Docker can run the nodes of a lab, and what a command in a node says."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import Mock

import pytest
from docker.errors import APIError
from requests import Response

from tests.table import table
from tools.lab import LabNode, Ran
from tools.lab.actions import why_it_cannot
from tools.lab.containers import ContainerNode
from tools.lab.spec import LabError, NodeSpec

CAPS = "OCI runtime create failed: unable to apply caps:\n operation not permitted: unknown"


def refusal(code: int) -> APIError:
    """What docker-py raises for an answer with that status."""
    answer = Response()
    answer.status_code = code
    return APIError("refused", response=answer, explanation=CAPS)


@table("code", starts=None, refused=400, failed=500)
def test_one_that_starts_a_privileged_container_can_or_says_why_not(code: int | None) -> None:
    docker = Mock()
    docker.containers.create.return_value.start.side_effect = code and refusal(code)

    why = why_it_cannot(docker)

    assert why == (code and CAPS.replace("\n", ""))
    ((_, created),) = docker.containers.create.call_args_list
    ((_, imported),) = docker.api.import_image.call_args_list
    docker.containers.create.return_value.remove.assert_called_once_with(force=True)
    docker.images.remove.assert_called_once_with(imported["repository"], force=True)
    assert created["privileged"] is True


def test_one_that_cannot_be_tried_is_no_answer() -> None:
    docker = Mock()
    docker.api.import_image.side_effect = refusal(500)  # such as a full disk

    with pytest.raises(LabError, match="lab: docker: cannot test privileged containers"):
        why_it_cannot(docker)


def test_both_streams_are_told_apart_and_what_is_no_text_is_replaced() -> None:
    node = Mock(run=lambda _: CompletedProcess([], 3, b"\xc3\xa9\xff", b"wrong"))

    assert LabNode.exec(node, "x") == Ran(3, "é\N{REPLACEMENT CHARACTER}", "wrong")


@table("pid", does_not_run=0, another_process=os.getpid())
def test_a_container_that_cannot_be_entered_is_an_error(pid: int) -> None:
    container = Mock(id="c1", status="running", attrs={"State": {"Pid": pid}})
    node = ContainerNode("lab-1", NodeSpec(), 22, Path("key"), Path("known"), container)

    with pytest.raises(LabError, match="lab-1: its namespaces cannot be entered; start it, "):
        node.exec("true")
    container.reload.assert_called_once_with()
