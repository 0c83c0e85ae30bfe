"""Settings of all hosts."""

_sudo = True  # Docker's socket and /etc/docker belong to root
ssh_known_hosts_file = "known_hosts"

# Only with the patch: the audit compares what apps ask for in Coolify with what their containers
# got. The API token is in the environment, as COOLIFY_TOKEN.
gvisor_coolify_url = "https://coolify.example.com"

# Where the audit writes its reports, on this machine.
gvisor_report_dir = "reports"
