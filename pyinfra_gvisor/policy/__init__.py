"""What an operator asks of containers and nodes, and how bad it is where that does not hold."""
