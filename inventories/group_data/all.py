"""For every host. Keys and their meaning: the settings table in the README."""

_sudo = True
