"""Settings of the nodes in the list `run`."""

# Change it to upgrade. The new release is proven before any container uses it.
gvisor_release = "20260928.0"

# A directory on this machine: <release>/<x86_64 or aarch64>/gvisor.tar.bz2 below it. A node that
# lacks the release gets the archive over ssh.
gvisor_source = "/srv/gvisor"

# Only for a release that `pyinfra-gvisor releases list` does not have:
# gvisor_sha512 = {"x86_64": "…", "aarch64": "…"}

# Docker runtimes by name: docker run --runtime=runsc …
gvisor_runtimes = {"runsc": {"network": "host"}}

# Nothing is pulled from outside: Docker asks the registry of this network.
gvisor_daemon_json = {"registry-mirrors": ["https://registry.internal"]}

# Where the audit writes its reports, on this machine.
gvisor_report_dir = "reports"
