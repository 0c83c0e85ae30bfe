"""Changes of daemon.json: read the file as text, merge by owner, plan, and apply to dockerd."""
