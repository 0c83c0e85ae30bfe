"""The minimum of any deploy: read the node's state, with one command."""

from pyinfra import host

from pyinfra_gvisor.facts.node import NodeState

host.get_fact(NodeState)
