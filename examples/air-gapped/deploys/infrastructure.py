"""List the platform's own containers and images."""

from pyinfra_gvisor import list_infrastructure

list_infrastructure()
