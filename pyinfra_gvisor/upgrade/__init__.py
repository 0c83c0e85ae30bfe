"""From one release to the next: tried under a name of its own first, and old ones collected."""
