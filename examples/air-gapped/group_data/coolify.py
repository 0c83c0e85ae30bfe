"""Settings of Coolify's own host."""

gvisor_runtimes = {}
gvisor_daemon_json = {"no-new-privileges": None, "userland-proxy": None}

gvisor_coolify = False  # Coolify is not patched: each node decides where its containers run

# With the patch instead of that line. An app without the runtime on its server cannot start.
# gvisor_coolify_url = "https://coolify.example.com"
# gvisor_coolify_token_file = "/srv/coolify.token"
# gvisor_coolify_servers = ["*"]
