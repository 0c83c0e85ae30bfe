"""
This machine as a run node, for example in the cloud-init of a new server.

    pyinfra inventories/local.py deploys/gvisor.py -y
"""

run = ["@local"]
