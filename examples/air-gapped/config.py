"""pyinfra reads this file from the directory that it is started in."""

from pyinfra import config

from pyinfra_gvisor.deploys.hosts import require_hosts

config.TEMP_DIR = "/var/tmp"  # on nodes; if unset, pyinfra asks each host for it
require_hosts()  # a run without hosts is an error
