"""Upgrade to another release: try it under a temporary name first, then remove old releases."""
