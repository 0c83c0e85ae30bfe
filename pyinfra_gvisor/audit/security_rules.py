"""What is looked for in the security options of a container: `--security-opt`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyinfra_gvisor.audit.rules import Rule, Running, Seen
from pyinfra_gvisor.errors import cut
from pyinfra_gvisor.policy.findings import Severity

LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH
# What Go's strconv.ParseBool takes for true, and an option without a value.
TRUE = frozenset({"", "1", "t", "T", "true", "TRUE", "True"})
# Of Docker's own lists, what every version since 20.10 has: moby, oci/defaults.go.
MASKED = frozenset({"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/scsi", "/sys/firmware"})
READONLY = frozenset({"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})
SPECUTILS = "google/gvisor, runsc/specutils/specutils.go"


@dataclass(frozen=True)
class Option:
    """
    A security option, what is said of a value that opens something, and how bad that is.

    ``sandboxed`` is its severity in a sandbox, for the reason that ``source`` gives.
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
        "Docker's filter of system calls is off or replaced",
        lambda value: value not in ("builtin", "default"),
        HIGH,
        LOW,
        f"{SPECUTILS}: left out unless the runtime has oci-seccomp; gVisor has a filter of its own",
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
        "its SELinux label is off or replaced",
        lambda _value: True,
        MEDIUM,
        LOW,
        f"{SPECUTILS}, ValidateSpec: refused, so that a sandbox needs it off",
        cis="5.3",
    ),
    Option(
        "no-new-privileges",
        "container-new-privileges",
        "no-new-privileges is switched off, whatever daemon.json says",
        lambda value: value not in TRUE,
        MEDIUM,
        LOW,
        "google/gvisor, runsc/boot/loader.go: matters to the sentry's own processes only",
        cis="5.26",
    ),
    Option(
        "writable-cgroups",
        "container-writable-cgroups",
        "it may write its control groups",
        lambda value: value in TRUE,
        MEDIUM,
        LOW,
        "moby, daemon_unix.go; a sandbox has control groups of its own inside",
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
    """Return True if the runtime keeps Docker's seccomp profile in the sandbox, too."""
    profile = running.host.settings.runtimes.get(running.container.runtime)
    return profile is not None and profile.filters_inside


def _looks(option: Option) -> Callable[[Running], Iterator[Seen]]:
    def look(running: Running) -> Iterator[Seen]:
        given = running.given
        if given.privileged:
            return  # told by a rule of its own
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


def _unknown(running: Running) -> Iterator[Seen]:
    known = {option.key for option in OPTIONS}
    found = [item for item in parsed(running.given.security) if item[0] not in known]
    if found:
        yield running.seen(", ".join(f"{cut(key)}={cut(value)}" for key, value in found))


def _system_paths(running: Running) -> Iterator[Seen]:
    """`systempaths=unconfined` reaches Docker as two empty lists. gVisor's /proc is its own."""
    given = running.given
    if given.privileged:
        return
    opened = [
        *sorted(MASKED - set(MASKED if given.masked is None else given.masked)),
        *sorted(READONLY - set(READONLY if given.readonly is None else given.readonly)),
    ]
    if opened:
        yield running.seen(f"open: {', '.join(opened)}", LOW if running.sandboxed else None)


_REMEDY = "create it without this --security-opt (compose: security_opt)"
SECURITY_RULES: tuple[Rule[Running], ...] = (
    *(Rule(item.id, item.bare, item.what, _REMEDY, _looks(item), cis=item.cis) for item in OPTIONS),
    Rule(
        "container-system-paths",
        HIGH,
        "paths below /proc and /sys are open to it that Docker hides or keeps from writing",
        "create it without --security-opt systempaths=unconfined",
        _system_paths,
    ),
    Rule(
        "container-security-option",
        MEDIUM,
        "it has a security option that is not known here",
        _REMEDY,
        _unknown,
    ),
)
