"""Where writes to the root file system go, by the overlay that a runtime asks for."""

from collections.abc import Iterator

import pytest

from tests.node.containers import must, remove_container, start_container
from tests.node.running import CURRENT, Fleet
from tests.node.story import ENDS
from tests.node.transactions import assert_as_declared
from tools.lab import LabNode

pytestmark = pytest.mark.slow

OVERLAYS = {
    **CURRENT,
    "gvisor_runtimes": {"runsc": {}, "fast": {"overlay": "self"}, "ram": {"overlay": "memory"}},
}
WRITTEN = "/written"


@pytest.fixture(scope="module", params=ENDS)
def ready(
    request: pytest.FixtureRequest,
    brought: dict[str, LabNode],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LabNode]:
    """A node with a runtime for each overlay, and afterwards as declared."""
    fleet = Fleet(brought, tmp_path_factory.mktemp("overlay"))
    fleet.deploy(request.param, data=OVERLAYS)
    yield brought[request.param]
    assert_as_declared(fleet, request.param)


@pytest.fixture
def node(ready: LabNode) -> Iterator[LabNode]:
    """The same, without what a test has written."""
    yield ready
    remove_container(ready, "writer")
    ready.exec("docker", "rmi", "written:1")


def write(node: LabNode, runtime: str) -> None:
    """A container that has written a file into its root file system."""
    start_container(node, "writer", f"--runtime={runtime}")
    must(node, "docker", "exec", "writer", "sh", "-c", f"echo kept > {WRITTEN}")


def in_image(node: LabNode) -> bool:
    """If what was written is in an image that is made of the container."""
    must(node, "docker", "commit", "writer", "written:1")
    look = ("docker", "run", "--rm", "-v", "/usr:/usr:ro", "written:1", "cat", WRITTEN)
    return node.exec(*look).stdout == "kept\n"


def seen_from_outside(node: LabNode) -> bool:
    """If ``docker cp`` finds what was written."""
    copied = node.exec("sh", "-c", f"docker cp writer:{WRITTEN} - | tar -xO")
    return copied.stdout == "kept\n"


def after_a_restart(node: LabNode) -> bool:
    """If what was written is still there after ``docker restart``."""
    must(node, "docker", "restart", "-t", "1", "writer")
    return node.exec("docker", "exec", "writer", "cat", WRITTEN).stdout == "kept\n"


def test_by_default_what_is_written_is_dockers_to_keep(node: LabNode) -> None:
    write(node, "runsc")

    assert in_image(node)
    assert seen_from_outside(node)
    assert after_a_restart(node)


@pytest.mark.parametrize("runtime", ["fast", "ram"])
def test_in_an_overlay_it_is_the_sandboxs_and_gone_with_it(node: LabNode, runtime: str) -> None:
    write(node, runtime)

    assert not in_image(node)
    assert not seen_from_outside(node)
    assert not after_a_restart(node)
