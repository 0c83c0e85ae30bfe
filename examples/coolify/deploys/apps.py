"""Say what would fail or differ in gVisor, for each container."""

from pyinfra_gvisor import list_apps

list_apps()
