"""An address that has come to another container is reached at once, under the same name."""

import pytest

from tests.node.containers import remove_container
from tests.node.names_nodes import KINDS, Ground, start
from tests.node.watching import within

NODE, NAME = "names-29", "moving"
OPTIONS = ("--network=red", "--ip=172.31.1.77")
ASKING = tuple(f"red-{kind}" for kind in KINDS)


# From Docker 28 on it has another hardware address then, which gVisor's stack does not ask for
# before half a minute has passed.
@pytest.mark.parametrize("kind", ["runc", "gvisor"])
def test_a_container_that_is_made_anew_is_reached_by_who_has_reached_it_before(
    names: Ground, kind: str
) -> None:
    node = names.ready(NODE)
    try:
        start(node, {NAME: OPTIONS})
        assert within(60, lambda: all(names.resolves(NODE, each, NAME) for each in ASKING))
        remove_container(node, NAME)
        start(node, {NAME: (*OPTIONS, f"--runtime={kind}")})
        assert within(30, lambda: names.resolves(NODE, "red-runc", NAME))  # it listens

        reached = {each: names.resolves(NODE, each, NAME) for each in ASKING}
    finally:
        remove_container(node, NAME)

    assert reached == dict.fromkeys(ASKING, True)
