"""pyinfra reads this file from its working directory."""

from pyinfra import config

from pyinfra_gvisor.deploys.hosts import require_hosts

# As in pyproject.toml, for a clone that was not installed with pip.
config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

# If unset, pyinfra asks every host: one more round trip. Not /tmp: on Debian 13 that is in memory,
# and an uploaded release is large.
config.TEMP_DIR = "/var/tmp"  # noqa: S108 - on nodes, not here

# Without a host, for example after a mistyped --limit, pyinfra does nothing and still exits with 0.
require_hosts()
