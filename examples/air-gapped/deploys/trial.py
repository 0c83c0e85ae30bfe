"""Try one running container in gVisor: --data trial_app=NAME."""

from pyinfra_gvisor import try_container

try_container()
