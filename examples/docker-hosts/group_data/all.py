"""Settings of all hosts."""

_sudo = True  # Docker's socket and /etc/docker belong to root
ssh_known_hosts_file = "known_hosts"
