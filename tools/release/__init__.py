"""Cut a version, and build everything that is published of it."""
