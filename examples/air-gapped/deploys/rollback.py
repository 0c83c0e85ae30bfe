"""Roll back daemon.json and the release to an earlier generation."""

from pyinfra_gvisor import roll_back

roll_back()
