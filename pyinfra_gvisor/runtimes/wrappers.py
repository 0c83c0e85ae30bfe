"""The wrapper scripts that daemon.json names as runtimes, and their paths."""

from __future__ import annotations

import hashlib
import posixpath
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.scripts import checksum_in_name, part
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.programs import (
    FIXED_PATH,
    dispatch_text,
    judge_program,
    rules_text,
    seal_text,
)
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.releases import Release, parse_release
from pyinfra_gvisor.runtimes.hardening import STRICT_SINCE, strict_flags
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, Runtime
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, RUNTIMES_DIR, RuntimeEntry

# The oldest release that was tried: it knows --overlay2, and uses any medium but "memory" as a
# directory. Releases without an overlay write as with `none`.
OVERLAY2_SINCE = Release(20221219, 0)
# The first release whose default is root:self (google/gvisor#10476).
SELF_SINCE = Release(20231106, 0)

# The resolver's addresses for sandboxes, on the node's loopback: every container reaches them
# through its gateway, and nobody else does. The first one is link-local (RFC 3927), and no known
# cloud uses it. The second one is random, as RFC 4193 requires.
ADDRESS = "169.254.53.53"
ADDRESS6 = "fd2e:6ab4:9d1c::53"


@dataclass(frozen=True)
class Wrapper:
    """A script that starts one release of runsc with fixed flags, and never changes."""

    runtime: str
    release: str
    text: str

    @property
    def sha256(self) -> str:
        """Return the sha256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def is_runtime(self) -> bool:
        """Return True for a script that starts runsc, not a program that such scripts use."""
        return self.text.startswith("#!/bin/sh\n")

    @property
    def path(self) -> str:
        """
        Return the path on the node. The name contains a hash, so another text has another path.

        dockerd renames its own scripts for ``runtimeArgs`` at every start, which breaks containers
        that remember the old name. A path that never changes cannot break them.
        """
        return f"{RUNTIMES_DIR}/{self.runtime}-{self.release}-{checksum_in_name(self.text)}"


def wrapper(name: str, release: str, runtime: Runtime) -> Wrapper:
    """
    Return the wrapper for the runtime called ``name`` with ``release``.

    The flags have a fixed order, so that equal flags always give the same path.
    """
    flags = [f"--network={runtime.network}"]
    if runtime.platform:
        flags.append(f"--platform={runtime.platform}")
    if parse_release(release) >= OVERLAY2_SINCE:
        # Written also for none: runsc's default is root:self. With that a restart loses what the
        # container wrote, and a power cut may stop it from starting again (google/gvisor#11559).
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
    seal = seal_text(judge(release).path) if runtime.seal else ""
    names = part("runtimes/wrapper_dns", **addresses) if runtime.dns else ""
    fixed = FIXED_PATH if seal or names else ""
    rules = rules_text(runtime.seal) if runtime.seal else ""
    start = f'exec {shlex.join(command)} "$@"\n'
    return Wrapper(name, release, f"#!/bin/sh\n{fixed}{seal}{names}{start}{rules}")


def judge(release: str) -> Wrapper:
    """
    Return the program that wrappers run when Docker creates a container. It is no runtime.

    It has a release in its name to leave with the wrappers of this release.
    """
    return Wrapper("judge", release, judge_program())


def dispatcher(release: str, runtimes: Mapping[str, Runtime], dispatch: Dispatch) -> Wrapper:
    """Return the wrapper of the default runtime, which decides where a container runs."""
    runtime = runtimes[dispatch.runtime]
    sandbox = wrapper(dispatch.runtime, release, runtime).path
    start = f'exec {RELEASES_DIR}/{release}/runsc "$@"\n'
    text = dispatch_text(sandbox, judge(release).path)
    rules = rules_text(runtime.seal, dispatch)
    return Wrapper(DEFAULT_RUNTIME, release, f"#!/bin/sh\n{text}{start}{rules}")


def wrappers(
    release: str, runtimes: Mapping[str, Runtime], dispatch: Dispatch | None = None
) -> tuple[Wrapper, ...]:
    """Return a wrapper for each runtime and for the default one, after the program they use."""
    found = [wrapper(name, release, runtime) for name, runtime in runtimes.items()]
    if dispatch is not None:
        found.append(dispatcher(release, runtimes, dispatch))
    return (*([judge(release)] if asks_judge(runtimes, dispatch) else []), *found)


def asks_judge(runtimes: Mapping[str, Runtime], dispatch: Dispatch | None) -> bool:
    """Return True if any wrapper runs the judge: the default one, or one with a seal."""
    return dispatch is not None or any(runtime.seal for runtime in runtimes.values())


def too_old(release: str, runtimes: Mapping[str, Runtime]) -> Problem | None:
    """Return why ``release`` lacks an option of the runtimes if runsc would not report that."""
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
                    f"{what} of runtime {name} needs release {since} or later",
                    got=release,
                    todo=f"use a later release, or remove {what} from gvisor_runtimes[{name!r}]",
                )
    return None


def missing(node: Node, wanted: tuple[Wrapper, ...]) -> tuple[Wrapper, ...]:
    """Return the wrappers that are missing, have another text or cannot be executed on the node."""
    return tuple(
        item
        for item in wanted
        if node.wrappers.get(item.path) != item.sha256 or item.path in node.not_executable
    )


def flags_of(entry: RuntimeEntry, node: Node) -> tuple[str, ...]:
    """Return the flags with which a registered runtime starts runsc; empty if it is not runsc."""
    path = entry.path or ""
    given = entry.arguments or ()
    if path.startswith(f"{RUNTIMES_DIR}/"):
        return (*_words_of(node.starts.get(path, ""))[2:-1], *given)  # exec <runsc> <flags> "$@"
    ours = path.startswith(f"{RELEASES_DIR}/")
    return given if ours or posixpath.basename(path).startswith("runsc") else ()


def _words_of(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # not a wrapper of ours; the checksum in its name shows that elsewhere
        return []
