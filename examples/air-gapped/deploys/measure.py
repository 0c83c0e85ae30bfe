"""Say what gVisor costs on each node, as ratios to runc."""

from pyinfra_gvisor import measure_node

measure_node()
