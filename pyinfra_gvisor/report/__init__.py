"""What an audit found, for a person, a CI job and a monitoring system."""
