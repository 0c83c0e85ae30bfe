"""A call of a runtime that makes or starts a container: the decision, and what is done for it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.checked_mounts import check_mounts, remember_mounts
from pyinfra_gvisor.judge.container import Container
from pyinfra_gvisor.judge.creation import Creation, decide_creation
from pyinfra_gvisor.judge.docker_files import Undecided, read_object
from pyinfra_gvisor.judge.own_files import collect, write_over
from pyinfra_gvisor.judge.permits import container_permit, has_container_permit, permitted
from pyinfra_gvisor.judge.places import Places, below, real
from pyinfra_gvisor.judge.rules import Rules, in_force, rules_of
from pyinfra_gvisor.judge.seal import without

_NAME = "pyinfra-gvisor"
_NO_LINKS = "nosymfollow"
_NOT_EMPTY = ("strictatime",)  # what a mount without options has


@dataclass(frozen=True)
class Call:
    """
    A call of a runtime by containerd's shim.

    + wrapper: path of the runtime
    + command: its command, such as ``create``
    + log: the file in which Docker reads why a runtime failed; may be empty
    + state: the directory in which the runtime keeps its state
    + directory: where it was called; ``words``: all words of the call
    """

    wrapper: str
    command: str
    log: str
    state: str
    directory: str
    words: Sequence[str]

    @property
    def identity(self) -> str:
        """Return the id of the container."""
        return self.words[-1] if self.words else ""

    @property
    def bundle(self) -> str:
        """Return the directory of ``config.json``."""
        return os.path.join(self.directory, self._option("--bundle") or ".")  # noqa: PTH118

    def _option(self, name: str) -> str | None:
        for word, following in zip(self.words, [*self.words[1:], ""], strict=True):
            if word == name:
                return following
            if word.startswith(f"{name}="):
                return word[len(name) + 1 :]
        return None


def decide_call(call: Call, paths: NodePaths) -> str:
    """
    Return where the container runs: ``runc`` or ``sandbox``.

    Raises ``Undecided`` if it must not start. Removes from its specification what is stripped, and
    notes the mounts to check when it starts.
    """
    if call.command == "start":
        check_mounts(call.identity, call.state, paths)
        return "sandbox"
    if below(call.wrapper, paths.runtimes) is None or ".." in call.wrapper.split("/"):
        raise Undecided(f"{call.wrapper} is not a runtime of pyinfra-gvisor")
    rules = rules_of(call.wrapper)
    permit = permitted(call.identity, paths.run) or _permit_of_operator(call.identity, paths)
    if permit == "unsealed" or (permit == "runc" and rules.policy is not None):
        where = "runc" if permit == "runc" else "sandbox"
    else:
        found = decide_creation(call.bundle, call.identity, rules, paths)
        if found.container is not None:
            _prepare(call, found, found.container, rules, paths)
        where = found.where
    if where == "runc":
        _follow_links(call.bundle)
    return where


def _permit_of_operator(identity: str, paths: NodePaths) -> str:
    if not has_container_permit(identity, paths.run):  # nearly all: others need no daemon.json
        return ""
    # Without the door dockerd can make files for others, by the mounts of a container.
    refuses = in_force(paths.daemon_json)[0].door == "refuse"
    return container_permit(identity, paths.run) if refuses else ""


def _prepare(
    call: Call, found: Creation, container: Container, rules: Rules, paths: NodePaths
) -> None:
    if rules.policy is not None:
        collect(f"{paths.run}/runtimes", found.root)
    if found.violations is None:
        return
    if found.violations.stripped:
        _strip(call.bundle, container, dict(found.violations.stripped))
    addresses = found.violations.addresses
    if addresses and call.command != "create":
        what = "a container with mounts of the node cannot be restored from a checkpoint"
        raise Undecided(what)
    remember_mounts(call.identity, addresses, found.root, paths.run)


def _strip(bundle: str, container: Container, kinds: Mapping[str, Iterable[str]]) -> None:
    path = f"{bundle}/config.json"
    left = without(read_object(path), kinds, container)
    _write(path, left)
    gone = "; ".join(item for kind in sorted(kinds) for item in kinds[kind])
    text = f"container {container.name}: removed {gone}"
    os.spawnvp(os.P_WAIT, "logger", ["logger", "-t", _NAME, "--", *_shown(text)])  # noqa: S606


def _follow_links(bundle: str) -> None:
    """
    Have the programs of a container under runc follow their links in volumes.

    runc before 1.2 only looks at what is set, and then unsets all else: mountToRootfs.
    """
    places = Places()
    if not any(_NO_LINKS in item.options for item in places.mounts):
        return
    path = f"{bundle}/config.json"
    spec = read_object(path)
    for item in spec.get("mounts") or ():
        source = item.get("source") or ""
        on = places.mount_of(real(source) or "") if source.startswith("/") else None
        if on is not None and _NO_LINKS in on.options:
            kept = [name for name in on.options if name not in ("rw", _NO_LINKS)]
            item["options"] = [*(item.get("options") or ()), "symfollow", *(kept or _NOT_EMPTY)]
    _write(path, spec)


def _write(path: str, spec: Mapping[str, Any]) -> None:
    write_over(path, json.dumps(spec, separators=(",", ":"), ensure_ascii=False))


def _shown(*texts: str) -> list[str]:
    return [text.encode("utf-8", "replace").decode().replace("\0", "?") for text in texts]


def answer_call(call: Call, paths: NodePaths) -> tuple[int, str]:
    """
    Return code and text for the wrapper: 0 and where the container runs, or 3 and why it must not.

    Docker shows the last error line of the runtime's log to the user: containerd's go-runc,
    getLastRuntimeError.
    """
    try:
        return 0, decide_call(call, paths)
    except Undecided as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001 - whatever fails, nothing starts
        why = f"the judge failed: {type(error).__name__}: {error}; report this error"
    (text,) = _shown(f"{_NAME}: {why}")
    _log(call.log, {"level": "error", "msg": text})
    return 3, text


def _log(path: str, line: dict[str, Any]) -> None:
    line["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
    except (OSError, ValueError):
        return  # the wrapper says it on standard error
