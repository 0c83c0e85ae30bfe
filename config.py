"""pyinfra reads this file from the directory that it is started in."""

from pyinfra import config

from pyinfra_gvisor.deploys.hosts import require_hosts

# As in pyproject.toml, for a clone in which nobody ran pip.
config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

# Unset, pyinfra asks every host for it: one more exec channel. Not /tmp: on Debian 13 that is
# memory, and an uploaded release is large.
config.TEMP_DIR = "/var/tmp"  # noqa: S108 - on nodes, not here

# Without a host, as behind a mistyped --limit, pyinfra would run nothing and end well.
require_hosts()
