"""The watch's files on a node: its program, the policy that the program reads, the units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import quote

from pyinfra_gvisor.base.node_files import unit_text
from pyinfra_gvisor.base.scripts import PATH, SOCKET, program
from pyinfra_gvisor.parts_common.timed import timer_text
from pyinfra_gvisor.platforms.coolify import RESOURCE_NAME
from pyinfra_gvisor.policy.selectors import Selector

DIRECTORY = "/opt/gvisor/watch"
SCRIPT = f"{DIRECTORY}/watch.pl"
POLICY = f"{DIRECTORY}/policy"
NAME = "pyinfra-gvisor-watch"
SERVICE = f"/etc/systemd/system/{NAME}.service"
TIMER = f"/etc/systemd/system/{NAME}.timer"
METRICS = "pyinfra_gvisor_watch.prom"

# Enough for a busy dockerd, to stop fifty containers that need 10 s each, and to measure for 90 s.
TIMEOUT_S = 700


_CONFINED = (
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


class ByDefault(NamedTuple):
    """The policy of the default runtime, in JSON, and the path of the judge that goes by it."""

    choosing: str
    judge: str


def script_text() -> str:
    """Return the program that checks the containers."""
    return program(
        "base/json.pl",
        "base/docker_api.pl",
        "sandbox/process.pl",
        "sandbox/runc_names.pl",
        "sandbox/verdict.pl",
        "sandbox/ground.pl",
        "dispatch/ask.pl",
        "parts/watch/usage.pl",
        "parts/watch/watch.pl",
    )


def policy_text(
    must: Iterable[Selector],
    exempt: Iterable[Selector],
    action: str,
    textfile: str | None,
    *,
    default: ByDefault | None = None,
) -> str:
    """
    Return the policy as lines for ``parts/watch/watch.pl``.

    + must: which containers must run in gVisor
    + exempt: which of these are exempt
    + action: ``report`` or ``stop``
    + textfile: the path of the metrics file; None writes no metrics
    + default: every container must but infrastructure, which the judge knows by this; `must` and
      `exempt` do not count
    """
    lines = [f"action {action}", *(_metrics(textfile) if textfile else [])]
    if default:
        lines += [f"judge {_word(default.judge)}", f"default {_word(default.choosing)}"]
        return "".join(f"{line}\n" for line in lines)
    for kind, selectors in (("must", must), ("exempt", exempt)):
        lines += [line for selector in selectors for line in _selector(kind, selector)]
    return "".join(f"{line}\n" for line in lines)


def _metrics(textfile: str) -> Iterator[str]:
    yield f"textfile {textfile}"
    yield f"app {_word(RESOURCE_NAME)}"


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
    Return a perl regular expression that matches as ``fnmatch`` does, if anchored at both ends.

    ``fnmatch.translate`` returns one for Python; perl treats classes differently: perlrecharclass.
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
    """Return the end of the piece of the pattern at ``at``: a set, or one character."""
    if pattern[at] != "[":
        return at + 1
    first = at + 2 if pattern[at + 1 : at + 2] == "!" else at + 1
    end = pattern.find("]", first + 1)  # A "]" in the first place is a member of the set.
    return at + 1 if end < 0 else end + 1


def _class(piece: str) -> str:
    """Return a class as code points, by asking ``fnmatch`` wherever its answer may change."""
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
    Return the unit that checks once: systemd.service(5), systemd.exec(5).

    + textfile_dir: the directory of the metrics file; None writes no metrics

    The unit keeps two capabilities: to read other processes' programs, and to read Docker's files
    and write metrics. It must see the node's own files: programs are compared with them.
    """
    writable = [f"ReadWritePaths=-{textfile_dir}"] if textfile_dir else []
    return unit_text(
        "[Unit]",
        "Description=Check that containers that must run in gVisor do",
        "After=docker.service",
        "[Service]",
        "Type=oneshot",
        f"ExecStart=/usr/bin/perl {SCRIPT} {POLICY} {SOCKET}",
        f"Environment=PATH={PATH}",
        f"SyslogIdentifier={NAME}",
        f"TimeoutStartSec={TIMEOUT_S}",
        "Nice=10",
        "UMask=0022",
        "CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_OVERRIDE",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        *writable,
        *_CONFINED,
    )


def timer_of(interval_s: int) -> str:
    """Return the timer of the watch."""
    return timer_text(interval_s, "that containers that must run in gVisor do")
