"""What containers may reach: the firewall of a node's own, from settings to rules and back."""
