"""Coolify: what of its control host is ours and outlives upgrades, and the apps of its servers."""
