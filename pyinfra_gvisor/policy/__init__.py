"""What an operator requires of containers and nodes, and how severe a violation is."""
