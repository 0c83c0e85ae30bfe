"""Run nodes survive Coolify's validation of a server: daemon.json merged, Docker restarted."""

import pytest

from tests.node.running import Fleet
from tests.node.transactions import FORGETFUL
from tests.node.validating import survives


@pytest.mark.slow
@pytest.mark.usefixtures("converged")
def test_docker_that_is_restarted_where_others_are_reloaded(fleet: Fleet) -> None:
    survives(fleet, FORGETFUL[0])
