"""The least that any deploy must do to know a node: read it, with one command."""

from pyinfra import host

from pyinfra_gvisor.facts.node import NodeState

host.get_fact(NodeState)
