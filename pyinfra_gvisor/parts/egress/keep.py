"""How the keeper knows that the firewall is in force."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.files import kept_files
from pyinfra_gvisor.parts.egress.plan import wanted_rules
from pyinfra_gvisor.parts.egress.settings import EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.settings import Settings


def _files(node: Node, settings: Settings) -> tuple[NodeFile, ...]:
    egress = settings.part(EgressSettings).egress
    if egress is None:
        return ()
    return kept_files(wanted_rules(node.part(EgressState), egress, named_resolvers(node)))


KEEP = Keep(("parts/egress/keep",), _files)
