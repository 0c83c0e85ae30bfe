"""Test whether a Docker can run the lab's nodes; if not, the lab builds one."""

from __future__ import annotations

from docker import DockerClient
from docker.errors import APIError, DockerException

from tools.lab import recipe
from tools.lab.make import probe_image
from tools.lab.spec import LabError

_IMAGE = f"{recipe.IMAGE_REPOSITORY}:try"
_NODES_PROGRAMS = {"/usr": {"bind": "/usr", "mode": "ro"}}


def why_it_cannot(client: DockerClient) -> str | None:
    """
    Start a privileged container, as nodes are; return Docker's error, or None if it starts.

    Docker 20.10 starts none if its own capability bounding set is incomplete; later ones do.
    Raise ``LabError`` if Docker cannot be tested.
    """
    try:
        client.api.import_image(
            probe_image(), repository=_IMAGE, changes=[f"LABEL {recipe.IMAGE_LABEL}=try"]
        )
        try:
            return _refusal(client)
        finally:
            client.images.remove(_IMAGE, force=True)
    except DockerException as error:
        raise LabError("lab: docker: cannot test privileged containers", because=error) from error


def _refusal(client: DockerClient) -> str | None:
    container = client.containers.create(
        _IMAGE, ["true"], privileged=True, labels={recipe.LABEL: "try"}, volumes=_NODES_PROGRAMS
    )
    try:
        container.start()
    except APIError as error:
        return " ".join(str(error.explanation).split())
    finally:
        container.remove(force=True)
    return None
