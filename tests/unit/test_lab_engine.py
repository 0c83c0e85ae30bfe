"""Whether a Docker can run the lab's nodes, as found by trying."""

from __future__ import annotations

from typing import Any, cast

import pytest
from docker import DockerClient
from docker.errors import APIError
from requests import Response

from pyinfra_gvisor.lab.engine import why_it_cannot
from pyinfra_gvisor.lab.spec import LabError

CAPS = "OCI runtime create failed: unable to apply caps:\n operation not permitted: unknown"


class FakeDocker:
    """A Docker that answers a start as it is told, and remembers what is left on it."""

    def __init__(
        self, refusal: APIError | None = None, *, no_import: APIError | None = None
    ) -> None:
        self.refusal = refusal
        self.no_import = no_import
        self.left: set[str] = set()
        self.api = self.containers = self.images = self

    def import_image(self, _data: bytes, *, repository: str, **_others: Any) -> None:
        if self.no_import:
            raise self.no_import
        self.left.add(repository)

    def create(self, _image: str, _command: list[str], **options: Any) -> FakeDocker:
        assert options["privileged"] is True
        self.left.add("container")
        return self

    def start(self) -> None:
        if self.refusal:
            raise self.refusal

    def remove(self, what: str = "container", *, force: bool) -> None:
        assert force
        self.left.remove(what)


def refusal(code: int) -> APIError:
    """What docker-py raises for an answer with that status."""
    answer = Response()
    answer.status_code = code
    return APIError("refused", response=answer, explanation=CAPS)


def test_one_that_starts_a_privileged_container_can() -> None:
    docker = FakeDocker()

    why = why_it_cannot(cast("DockerClient", docker))

    assert (why, docker.left) == (None, set())


@pytest.mark.parametrize("code", [pytest.param(400, id="refused"), pytest.param(500, id="failed")])
def test_one_that_does_not_cannot_and_says_why_in_a_line(code: int) -> None:
    docker = FakeDocker(refusal(code))

    why = why_it_cannot(cast("DockerClient", docker))

    assert (
        why == "OCI runtime create failed: unable to apply caps: operation not permitted: unknown"
    )
    assert docker.left == set()


def test_one_that_cannot_be_tried_is_no_answer() -> None:
    docker = FakeDocker(no_import=refusal(500))  # such as a full disk

    with pytest.raises(LabError, match="lab: docker: cannot test privileged containers"):
        why_it_cannot(cast("DockerClient", docker))
