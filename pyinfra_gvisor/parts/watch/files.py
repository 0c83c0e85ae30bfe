"""What the watch is made of on a node: a policy that its script can read, and systemd's units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from urllib.parse import quote

from pyinfra_gvisor.node_files import unit_text
from pyinfra_gvisor.policy.selectors import Selector
from pyinfra_gvisor.scripts import program

DIRECTORY = "/opt/gvisor/watch"
SCRIPT = f"{DIRECTORY}/watch.pl"
POLICY = f"{DIRECTORY}/policy"
NAME = "pyinfra-gvisor-watch"
SERVICE = f"/etc/systemd/system/{NAME}.service"
TIMER = f"/etc/systemd/system/{NAME}.timer"
METRICS = "pyinfra_gvisor_watch.prom"

TIMEOUT_S = 600  # a look at a busy daemon, and fifty containers that need 10 s each to stop


def script_text() -> str:
    """The program that looks."""
    return program(
        "scripts/docker_api.pl",
        "sandbox/process.pl",
        "sandbox/verdict.pl",
        "sandbox/ground.pl",
        "scripts/watch.pl",
    )


def policy_text(
    must: Iterable[Selector], exempt: Iterable[Selector], action: str, textfile: str | None
) -> str:
    """
    The policy in lines for ``scripts/watch.pl``.

    + must: who must run in a sandbox
    + exempt: who of these need not
    + action: ``report`` or ``stop``
    + textfile: the path of the metrics, None for none
    """
    lines = [f"action {action}", *([f"textfile {textfile}"] if textfile else [])]
    for kind, selectors in (("must", must), ("exempt", exempt)):
        lines += [line for selector in selectors for line in _selector(kind, selector)]
    return "".join(f"{line}\n" for line in lines)


def _selector(kind: str, selector: Selector) -> Iterator[str]:
    yield kind
    if selector.name is not None:
        yield f"name {_word(perl_pattern(selector.name))}"
    for label, wanted in selector.labels.items():
        values = (wanted,) if isinstance(wanted, str) else wanted
        yield " ".join(("label", *(f"={_word(item)}" for item in (label, *values))))


def _word(text: str) -> str:
    return quote(text, safe="/:@,+*?[]{}()^\\|!$", errors="surrogatepass")


def perl_pattern(pattern: str) -> str:
    """
    An expression of perl's that matches as ``fnmatch`` does, to be anchored at both ends.

    ``fnmatch.translate`` makes one for Python, and perl reads classes otherwise: perlrecharclass.
    """
    parts, at = [], 0
    while at < len(pattern):
        end = _set_end(pattern, at)
        parts.append(_piece(pattern[at:end]))
        at = end
    return "".join(parts)


def _piece(piece: str) -> str:
    if piece in ("*", "?"):
        return {"*": ".*", "?": "."}[piece]
    if len(piece) > 1:
        return _class(piece)
    return piece if re.fullmatch(r"[A-Za-z0-9_-]", piece) else _code(ord(piece))


def _set_end(pattern: str, at: int) -> int:
    """Where the piece of the pattern ends that begins at ``at``: a set, or one character."""
    if pattern[at] != "[":
        return at + 1
    first = at + 2 if pattern[at + 1 : at + 2] == "!" else at + 1
    end = pattern.find("]", first + 1)  # a "]" that comes first is a member
    return at + 1 if end < 0 else end + 1


def _class(piece: str) -> str:
    """Asked of ``fnmatch`` itself, at each point where its answer can become another."""
    points = sorted({0, 0x110000, *(ord(char) + more for char in piece for more in (0, 1))})
    found = "".join(
        f"{_code(first)}-{_code(end - 1)}"
        for first, end in pairwise(points)
        if first < end and fnmatchcase(chr(first), piece)
    )
    return f"[{found}]" if found else "(?!)"


def _code(number: int) -> str:
    return f"\\x{{{number:x}}}"


def service_text(textfile_dir: str | None) -> str:
    """
    The unit that looks once: systemd.service(5), systemd.exec(5).

    + textfile_dir: the directory of the metrics, None for none

    Of what root may do it keeps looking at other processes' programs, and writing there. It has to
    see the node's own file system: programs are compared with the files at their paths.
    """
    writable = [f"ReadWritePaths=-{textfile_dir}"] if textfile_dir else []
    return unit_text(
        "[Unit]",
        "Description=Look for containers that must run in a gVisor sandbox and do not",
        "After=docker.service",
        "[Service]",
        "Type=oneshot",
        f"ExecStart=/usr/bin/perl {SCRIPT} {POLICY}",
        f"SyslogIdentifier={NAME}",
        f"TimeoutStartSec={TIMEOUT_S}",
        "Nice=10",
        "UMask=0022",
        "CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_OVERRIDE",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        *writable,
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "PrivateDevices=yes",
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=AF_UNIX",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
    )


def timer_text(interval_s: int) -> str:
    """
    The unit that has it look every ``interval_s`` seconds, from one start to the next, and at once
    when it is itself started, also by a boot: systemd.timer(5).
    """
    return unit_text(
        "[Unit]",
        f"Description=Look every {interval_s} s for containers that must run in a gVisor sandbox",
        "[Timer]",
        "OnActiveSec=0",
        f"OnUnitActiveSec={interval_s}",
        "AccuracySec=100ms",
        "[Install]",
        "WantedBy=timers.target",
    )
