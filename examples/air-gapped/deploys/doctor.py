"""Say what each node is, and what a deploy would refuse."""

from pyinfra_gvisor import examine_node

examine_node()
