"""Rules of docker-bench-security about dockerd and its files that this package can influence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyinfra_gvisor.audit.listening import hosts
from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.daemon_json.effective import value_in_force
from pyinfra_gvisor.daemon_json.reach import USERLAND_PROXY, needs_proxy
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, RUNTIMES_DIR

_APPLY = "pyinfra-gvisor apply"
_KEPT = (
    "If clients need these ports, waive this rule in gvisor_waivers. If not, set "
    'gvisor_daemon_json = {"userland-proxy": False}'
)
OURS = ("/opt/gvisor", RELEASES_DIR, RUNTIMES_DIR, STATE_DIR)


def _value(host: Audited, key: str, flag: str = "") -> Json:
    return value_in_force(host.node, key, flag)


def _is(value: Json, wanted: bool) -> bool:
    return value is wanted or value == str(wanted).lower()


def _icc(host: Audited) -> Iterator[Observation]:
    if not _is(_value(host, "icc"), wanted=False):
        yield Observation(DAEMON_JSON, "icc is not false")


def _iptables(host: Audited) -> Iterator[Observation]:
    if _is(_value(host, "iptables"), wanted=False):
        yield Observation(DAEMON_JSON, "iptables is false")


def _insecure_registries(host: Audited) -> Iterator[Observation]:
    if value := _value(host, "insecure-registries", "insecure-registry"):
        yield Observation(DAEMON_JSON, cut(shown(value, ("insecure-registries",))))


def _tcp(host: Audited) -> Iterator[Observation]:
    open_ = [word for word in hosts(host.node) if "tcp://" in word]
    if open_ and not _is(_value(host, "tlsverify"), wanted=True):
        yield Observation("dockerd", f"listens on {', '.join(sorted(set(map(cut, open_))))}")


def _user_namespaces(host: Audited) -> Iterator[Observation]:
    if not _value(host, "userns-remap"):
        yield Observation(DAEMON_JSON, "userns-remap is not set")


def _authorization(host: Audited) -> Iterator[Observation]:
    if not _value(host, "authorization-plugins", "authorization-plugin"):
        yield Observation(DAEMON_JSON, "authorization-plugins is not set")


def _logging(host: Audited) -> Iterator[Observation]:
    if host.node.info and host.node.info.logging_driver == "json-file":
        yield Observation(DAEMON_JSON, "log-driver is json-file")


def _remedy(host: Audited, key: str) -> str:
    """Return what to do about a key of daemon.json that is hardened unless it is declared."""
    if key in host.settings.daemon_json:
        return f"Remove {key} from gvisor_daemon_json, then run {_APPLY}"
    return f"Run {_APPLY}"


def _no_new_privileges(host: Audited) -> Iterator[Observation]:
    if not _is(_value(host, "no-new-privileges"), wanted=True):
        remedy = _remedy(host, "no-new-privileges")
        yield Observation(DAEMON_JSON, "no-new-privileges is not true", remedy=remedy)


def _live_restore(host: Audited) -> Iterator[Observation]:
    info = host.node.info
    if info and not info.live_restore and not info.swarm_active:
        why = "docker info: Live Restore Enabled: false"
        yield Observation("dockerd", why, remedy=_remedy(host, "live-restore"))


def _userland_proxy(host: Audited) -> Iterator[Observation]:
    if not _is(_value(host, USERLAND_PROXY), wanted=False):
        lost = ", ".join(map(str, needs_proxy(host.node)))
        why = f"; without docker-proxy clients lose {lost}" if lost else ""
        remedy = _KEPT if lost and host.settings.spares_ports else _remedy(host, USERLAND_PROXY)
        yield Observation(DAEMON_JSON, f"userland-proxy is not false{why}", remedy=remedy)


def _seccomp(host: Audited) -> Iterator[Observation]:
    options = host.node.info.security_options if host.node.info else ()
    if host.node.info and not any(option.startswith("name=seccomp") for option in options):
        yield Observation("dockerd", f"docker info: Security Options: {cut(', '.join(options))}")


def _owner(path: str, *owners: str) -> Callable[[Audited], Iterator[Observation]]:
    def look(host: Audited) -> Iterator[Observation]:
        file = host.observed.files.get(path)
        if file and file.owner not in owners:
            yield Observation(path, f"owned by {file.owner}")

    return look


def _mode(path: str, allowed: int) -> Callable[[Audited], Iterator[Observation]]:
    def look(host: Audited) -> Iterator[Observation]:
        file = host.observed.files.get(path)
        if file and int(file.mode, 8) & ~allowed:
            yield Observation(path, f"mode {file.mode}")

    return look


def _ours(host: Audited) -> Iterator[Observation]:
    """Report our files that others can write: they decide what containers run under."""
    for path, file in host.observed.files.items():
        mine = path in OURS or path.startswith(RUNTIMES_DIR + "/")
        if mine and (not file.owner.startswith("root:") or int(file.mode, 8) & 0o022):
            yield Observation(path, f"mode {file.mode}, owned by {file.owner}")


_DEPLOY = f"Run {_APPLY}. If gvisor_daemon_json has this key, remove it first"
HARDENING: tuple[Rule[Audited], ...] = (
    Rule(
        "docker-icc", Severity.LOW, "Containers on the default bridge can reach each other",
        'Set gvisor_daemon_json = {"icc": False}', _icc, "2.2",
        "platforms put each app on its own network, which this key does not affect",
    ),
    Rule(
        "docker-iptables", Severity.HIGH, "Docker creates no firewall rules for containers",
        "Remove the key iptables from daemon.json, or the flag --iptables from dockerd's unit",
        _iptables, "2.4",
    ),
    Rule(
        "docker-insecure-registry", Severity.MEDIUM,
        "Images are pulled from registries without checking their certificate",
        "Give the registry a trusted certificate, then remove the key", _insecure_registries, "2.5",
    ),
    Rule(
        "docker-tcp", Severity.CRITICAL,
        "dockerd listens on TCP without requiring client certificates",
        "Remove the tcp:// address and use ssh://, or set tlsverify", _tcp, "2.7",
    ),
    Rule(
        "docker-userns", Severity.LOW, "root in a container is root on the node",
        'Set gvisor_daemon_json = {"userns-remap": "default"}', _user_namespaces, "2.9",
        "userns-remap breaks Coolify; in gVisor the sentry isolates root, without capabilities",
    ),
    Rule(
        "docker-authorization", Severity.LOW, "Docker's API requires no authorization",
        "Install an authorization plugin", _authorization, "2.12",
        "plugins break Coolify; the mode of docker.sock decides who can use the API",
    ),
    Rule(
        "docker-logging", Severity.LOW, "Logs stay on the node", "Choose another log-driver",
        _logging, "2.13", "Coolify and docker logs read json-file, whose size is limited",
    ),
    Rule(
        "docker-no-new-privileges", Severity.MEDIUM,
        "setuid programs in containers can gain privileges",
        _DEPLOY, _no_new_privileges, "2.14",
    ),
    Rule(
        "docker-live-restore", Severity.MEDIUM, "Containers end when dockerd restarts",
        _DEPLOY, _live_restore, "2.15",
    ),
    Rule(
        "docker-userland-proxy", Severity.LOW,
        "Published ports pass through docker-proxy, which runs as root",
        _DEPLOY, _userland_proxy, "2.16",
    ),
    Rule(
        "docker-seccomp", Severity.HIGH, "dockerd filters no system calls",
        "Use a kernel and a dockerd with seccomp", _seccomp,
    ),
    Rule(
        "docker-directory-owner", Severity.HIGH, "/etc/docker does not belong to root",
        "Run chown root:root /etc/docker", _owner("/etc/docker", "root:root"), "3.5",
    ),
    Rule(
        "docker-directory-mode", Severity.HIGH, "Users other than root can write to /etc/docker",
        "Run chmod 755 /etc/docker", _mode("/etc/docker", 0o755), "3.6",
    ),
    Rule(
        "docker-socket-owner", Severity.HIGH,
        "docker.sock does not belong to user root and group docker",
        "Run chown root:docker /run/docker.sock",
        _owner("/run/docker.sock", "root:docker"), "3.15",
    ),
    Rule(
        "docker-socket-mode", Severity.CRITICAL, "Every user of the node can use docker.sock",
        "Run chmod 660 /run/docker.sock", _mode("/run/docker.sock", 0o660), "3.16",
    ),
    Rule(
        "daemon-json-owner", Severity.HIGH, "daemon.json does not belong to root",
        f"Run chown root:root {DAEMON_JSON}", _owner(DAEMON_JSON, "root:root"), "3.17",
    ),
    Rule(
        "daemon-json-mode", Severity.MEDIUM, "Users other than root can change daemon.json",
        f"Run chmod 644 {DAEMON_JSON}", _mode(DAEMON_JSON, 0o644), "3.18",
    ),
    Rule(
        "gvisor-writable", Severity.CRITICAL,
        "Users other than root can change files that sandboxes run from",
        "Run chown root:root and chmod go-w on this path. Find out who changed it", _ours,
    ),
)  # fmt: skip
