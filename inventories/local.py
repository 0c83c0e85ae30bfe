"""
This machine, as a run node: for a new server's own cloud-init.

    pyinfra inventories/local.py deploys/gvisor.py -y
"""

run = ["@local"]
