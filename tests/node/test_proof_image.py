"""The proof with an image of the operator's own, of which nothing has to work."""

from collections.abc import Iterator

import pytest

from tests.node.audits import sh
from tests.node.proving import OF_PARTS, prove, rows
from tests.node.running import CURRENT, Fleet
from tests.node.seeing import no_leftovers
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

IMAGE = "shop.example.com/team/empty:1"
# One file that is no program, and all that an image can declare against whoever starts it.
_MAKE = r"""
set -eu
mkdir -p /root/one
echo 'not a program' > /root/one/file
tar -C /root/one -c file | docker import --change 'ENTRYPOINT ["/nothing"]' --change 'USER 1000' \
    --change 'ENV LD_PRELOAD=/nothing.so PERL5OPT=-MNothing' --change 'HEALTHCHECK CMD /nothing' \
    --change 'VOLUME /data' --change 'WORKDIR /nowhere' ${2:+"$2"} ${3:+"$3"} - "$1"
rm -rf /root/one
"""


@pytest.fixture(params=["docker-20", "docker-29"])
def name(converged: dict[str, LabNode], request: pytest.FixtureRequest) -> Iterator[str]:
    """A node with the image."""
    node = converged[request.param]
    # which Docker 20.10 cannot import
    more = () if request.param == "docker-20" else ("--change", "STOPSIGNAL SIGQUIT")
    sh(node, _MAKE, IMAGE, *more)
    yield request.param
    node.exec("docker", "rmi", "-f", IMAGE)


def test_an_image_with_one_file_and_no_program_is_enough(name: str, fleet: Fleet) -> None:
    volumes = fleet.nodes[name].exec("docker", "volume", "ls", "-q").stdout

    outcome = prove(fleet, name, image=IMAGE)

    assert outcome.code == 0, outcome.text
    table = rows(outcome)
    spared = {check for check, row in table.items() if row.endswith("  n/a")}
    assert spared - {"dns-external"} == {"no-new-privs", *OF_PARTS}
    assert all(row.endswith("  ok") for check, row in table.items() if check not in spared)
    assert fleet.nodes[name].exec("docker", "volume", "ls", "-q").stdout == volumes
    assert no_leftovers(fleet.nodes[name]) == ""
    assert fleet.nodes[name].exec("docker", "image", "inspect", IMAGE).code == 0


def test_an_image_that_is_not_there_is_not_pulled_and_it_is_said_what_to_do(fleet: Fleet) -> None:
    missing = {**CURRENT, "gvisor_proof": "always", "gvisor_proof_image": IMAGE}

    outcome = fleet.run("plain", data=missing)

    assert outcome.code == 1
    said = f"gvisor_proof_image on plain: the image is not on the node, got {IMAGE}; docker pull"
    assert said in outcome.stderr
    assert no_leftovers(fleet.nodes["plain"]) == ""
