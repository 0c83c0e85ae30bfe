"""The engine of daemon.json: read as text, merged by owner, planned, and brought into force."""
