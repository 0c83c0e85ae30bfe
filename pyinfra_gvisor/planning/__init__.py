"""What a run will do: what the settings want, its steps, and whether it may begin."""
