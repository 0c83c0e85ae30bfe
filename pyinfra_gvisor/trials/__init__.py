"""A trial of one container under gVisor: a twin of it in a sandbox, and a control under runc."""
