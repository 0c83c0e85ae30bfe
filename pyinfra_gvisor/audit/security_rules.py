"""Rules about the security options of a container: ``--security-opt``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyinfra_gvisor.audit.rules import Observation, Rule, Running
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.policy.findings import Severity

LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH
# Values that Go's strconv.ParseBool reads as true, and an option without a value.
TRUE = frozenset({"", "1", "t", "T", "true", "TRUE", "True"})
# Paths in Docker's own lists in every version since 20.10: moby, oci/defaults.go.
MASKED = frozenset({"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/scsi", "/sys/firmware"})
READONLY = frozenset({"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})
SPECUTILS = "google/gvisor, runsc/specutils/specutils.go"


@dataclass(frozen=True)
class Option:
    """
    A security option: which values weaken isolation (``is_open``), and how bad they are.

    ``bare`` is the severity on the host kernel. ``sandboxed`` is the severity in gVisor, for the
    reason in ``source``.
    """

    key: str
    id: str
    what: str
    is_open: Callable[[str], bool]
    bare: Severity
    sandboxed: Severity
    source: str
    cis: str | None = None


OPTIONS = (
    Option(
        "seccomp",
        "container-seccomp",
        "Docker's seccomp filter is off or replaced",
        lambda value: value not in ("builtin", "default"),
        HIGH,
        LOW,
        f"{SPECUTILS}: unused unless the runtime has oci-seccomp; gVisor has its own filter",
        cis="5.22",
    ),
    Option(
        "apparmor",
        "container-apparmor",
        "Docker's AppArmor profile is off or replaced",
        lambda value: value not in ("", "docker-default"),
        MEDIUM,
        LOW,
        f"{SPECUTILS}, ValidateSpec: ignored",
        cis="5.2",
    ),
    Option(
        "label",
        "container-selinux",
        "The container's SELinux label is off or replaced",
        lambda _value: True,
        MEDIUM,
        LOW,
        f"{SPECUTILS}, ValidateSpec: refused, so a sandbox needs the label off",
        cis="5.3",
    ),
    Option(
        "no-new-privileges",
        "container-new-privileges",
        "no-new-privileges is off for this container, whatever daemon.json says",
        lambda value: value not in TRUE,
        MEDIUM,
        LOW,
        "google/gvisor, runsc/boot/loader.go: affects the sentry's own processes only",
        cis="5.26",
    ),
    Option(
        "writable-cgroups",
        "container-writable-cgroups",
        "The container can write to its cgroups",
        lambda value: value in TRUE,
        MEDIUM,
        LOW,
        "moby, daemon_unix.go; inside, a sandbox has its own cgroups",
    ),
)


def parsed(options: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the options as Docker reads them (moby, parseSecurityOpt): `=` comes before `:`."""
    pairs = []
    for option in options:
        key, _, value = option.partition("=" if "=" in option else ":")
        pairs.append(("label", "disable") if option == "disable" else (key, value))
    return pairs


def _filters_inside(running: Running) -> bool:
    """Return True if the runtime also applies Docker's seccomp profile inside the sandbox."""
    profile = running.profile
    return profile is not None and profile.filters_inside


def _looks(option: Option) -> Callable[[Running], Iterator[Observation]]:
    def look(running: Running) -> Iterator[Observation]:
        given = running.given
        if given.privileged:
            return  # container-privileged reports this
        found = [value for key, value in parsed(given.security) if key == option.key]
        # Docker itself adds this one: moby, generateSecurityOpt.
        if option.key == "label" and "host" in (given.pid_mode, given.ipc_mode):
            found = [value for value in found if value != "disable"]
        if opened := [value for value in found if option.is_open(value)]:
            severity = option.sandboxed if running.sandboxed else option.bare
            if option.key == "seccomp" and running.sandboxed and _filters_inside(running):
                severity = MEDIUM
            words = ", ".join(f"{option.key}={cut(value)}" for value in opened)
            yield running.seen(words, severity)

    return look


def _unknown(running: Running) -> Iterator[Observation]:
    known = {option.key for option in OPTIONS}
    found = [item for item in parsed(running.given.security) if item[0] not in known]
    if found:
        yield running.seen(", ".join(f"{cut(key)}={cut(value)}" for key, value in found))


def _system_paths(running: Running) -> Iterator[Observation]:
    """Report paths that `systempaths=unconfined` opens: it reaches Docker as two empty lists."""
    given = running.given
    if given.privileged:
        return
    opened = [
        *sorted(MASKED - set(MASKED if given.masked is None else given.masked)),
        *sorted(READONLY - set(READONLY if given.readonly is None else given.readonly)),
    ]
    if opened:
        yield running.seen(f"open: {', '.join(opened)}", LOW if running.sandboxed else None)


_REMEDY = "Recreate the container without this --security-opt (compose: security_opt)"
SECURITY_RULES: tuple[Rule[Running], ...] = (
    *(Rule(item.id, item.bare, item.what, _REMEDY, _looks(item), cis=item.cis) for item in OPTIONS),
    Rule(
        "container-system-paths",
        HIGH,
        "Can read or write paths below /proc and /sys that Docker normally hides or protects",
        "Recreate the container without --security-opt systempaths=unconfined",
        _system_paths,
    ),
    Rule(
        "container-security-option",
        MEDIUM,
        "Has a security option that this audit does not know",
        _REMEDY,
        _unknown,
    ),
)
