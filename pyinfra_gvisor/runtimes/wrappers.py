"""Runtimes: the wrapper script that daemon.json points at, and what it is called."""

from __future__ import annotations

import hashlib
import posixpath
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.releases import Release, parse_release
from pyinfra_gvisor.runtimes.hardening import STRICT_SINCE, strict_flags
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, RUNTIMES_DIR, RuntimeEntry
from pyinfra_gvisor.scripts import script

# The oldest release that was asked: it knows --overlay2 and takes a medium for a directory if it is
# not "memory". Before there was an overlay, writes went where `none` has them.
OVERLAY2_SINCE = Release(20221219, 0)
# It has root:self by default (google/gvisor#10476).
SELF_SINCE = Release(20231106, 0)

# Where sandboxes ask for names: on the node's loopback, so that every container's gateway leads
# there, and nobody else's. Link-local, RFC 3927; no cloud is known to use it. The other one was
# drawn at random, as RFC 4193 has it.
ADDRESS = "169.254.53.53"
ADDRESS6 = "fd2e:6ab4:9d1c::53"


@dataclass(frozen=True)
class Wrapper:
    """A script that starts one release of runsc with one set of flags, and never changes."""

    runtime: str
    release: str
    text: str

    @property
    def sha256(self) -> str:
        """The checksum of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def path(self) -> str:
        """
        Where it lies. The name holds a hash of the text, so another text gets another path.

        dockerd's own scripts for ``runtimeArgs`` are renamed at every start, which breaks the
        containers that remember the old name; a path that never changes cannot.
        """
        return f"{RUNTIMES_DIR}/{self.runtime}-{self.release}-{self.sha256[:8]}"


def wrapper(name: str, release: str, runtime: Runtime) -> Wrapper:
    """
    The wrapper for the runtime called ``name`` on ``release``.

    Its flags always come in the same order, for its path to be always the same.
    """
    flags = [f"--network={runtime.network}"]
    if runtime.platform:
        flags.append(f"--platform={runtime.platform}")
    if parse_release(release) >= OVERLAY2_SINCE:
        # Said even where it is none: runsc's default is root:self, with which a restart loses what
        # was written, and a power cut may keep the container from starting (google/gvisor#11559).
        medium = "none" if runtime.overlay == "none" else f"root:{runtime.overlay}"
        flags.append(f"--overlay2={medium}")
    if runtime.host_uds != "none":
        flags.append(f"--host-uds={runtime.host_uds}")
    if runtime.panic_log:
        flags.append(f"--panic-log={runtime.panic_log}")
    if runtime.hardening == "strict":
        flags += strict_flags(parse_release(release))
    command = [f"{RELEASES_DIR}/{release}/runsc", *flags, *runtime.flags]
    addresses = {"resolver": ADDRESS, "resolver6": ADDRESS6}
    names = script("wrapper_dns", **addresses) if runtime.dns else ""
    return Wrapper(name, release, f'#!/bin/sh\n{names}exec {shlex.join(command)} "$@"\n')


def wrappers(release: str, runtimes: Mapping[str, Runtime]) -> tuple[Wrapper, ...]:
    """A wrapper for each runtime."""
    return tuple(wrapper(name, release, runtime) for name, runtime in runtimes.items())


def too_old(release: str, runtimes: Mapping[str, Runtime]) -> Problem | None:
    """Why ``release`` cannot do what the runtimes ask for, where runsc itself would not say so."""
    any_release = Release(0, 0)
    overlays = {"none": any_release, "memory": OVERLAY2_SINCE, "self": SELF_SINCE}
    hardening = {"standard": any_release, "strict": STRICT_SINCE}
    for name, runtime in runtimes.items():
        for what, since in (
            (f"overlay {runtime.overlay}", overlays[runtime.overlay]),
            (f"hardening {runtime.hardening}", hardening[runtime.hardening]),
        ):
            if parse_release(release) < since:
                return Problem(
                    f"runtime {name} asks for {what}, which runsc has from {since} on",
                    got=release,
                    todo=f"use a later release, or leave it out of gvisor_runtimes[{name!r}]",
                )
    return None


def missing(node: Node, wanted: tuple[Wrapper, ...]) -> tuple[Wrapper, ...]:
    """The wrappers that the node lacks, or has with another text than theirs."""
    return tuple(item for item in wanted if node.wrappers.get(item.path) != item.sha256)


def flags_of(entry: RuntimeEntry, node: Node) -> tuple[str, ...]:
    """Return the flags that a registered runtime starts runsc with; empty if that is no runsc."""
    path = entry.path or ""
    given = entry.arguments or ()
    if path.startswith(f"{RUNTIMES_DIR}/"):
        return (*_words_of(node.starts.get(path, ""))[2:-1], *given)  # exec <runsc> <flags> "$@"
    ours = path.startswith(f"{RELEASES_DIR}/")
    return given if ours or posixpath.basename(path).startswith("runsc") else ()


def _words_of(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # no wrapper of ours, which the checksum in its name tells
        return []
