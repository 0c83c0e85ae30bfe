"""Make Coolify honour --runtime, and set it on apps."""

from pyinfra_gvisor import run_control_host

run_control_host()
