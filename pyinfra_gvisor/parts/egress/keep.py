"""How the keeper knows that the firewall is in force."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.dockerd import dockerd_of
from pyinfra_gvisor.parts.egress.plan import wanted_files
from pyinfra_gvisor.parts.egress.settings import EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.settings import Settings


def _files(node: Node, settings: Settings) -> tuple[NodeFile, ...]:
    egress = settings.part(EgressSettings).egress
    if egress is None:
        return ()
    return wanted_files(node.part(EgressState), egress, dockerd_of(node))


KEEP = Keep(("parts/egress/keep",), _files)
