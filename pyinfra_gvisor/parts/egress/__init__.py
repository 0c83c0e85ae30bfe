"""The egress firewall: what containers may reach, from settings to rules."""
