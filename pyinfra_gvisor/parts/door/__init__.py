"""The door: the judge as an authorization plugin, which dockerd asks before it does anything."""
