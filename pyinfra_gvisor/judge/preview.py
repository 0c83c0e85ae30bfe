"""Say where each container of a node would run after its next start, as lines for a fact."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pyinfra_gvisor.judge.asked import Asked, NodePaths
from pyinfra_gvisor.judge.container import Container
from pyinfra_gvisor.judge.docker_files import Undecided, read_container
from pyinfra_gvisor.judge.infrastructure import (
    NOT_INFRASTRUCTURE,
    decide,
    is_named_like,
    repository,
)
from pyinfra_gvisor.judge.networks import BRIDGE, refused_network
from pyinfra_gvisor.judge.requested import requested_volume
from pyinfra_gvisor.judge.rules import asks_for_runc
from pyinfra_gvisor.judge.seal import violations

Ask = Callable[[str], Any]

_LIMIT_S = 20  # for all decisions
_DAEMON_JSON = NodePaths().daemon_json
_DOCKERS_NETWORKS = ("bridge", "host", "none", "docker_gwbridge", "ingress")


@dataclass(frozen=True)
class Declared:
    """
    What an operator declares.

    + policy: of the default runtime; None if there is no default runtime
    + seals: by the name of each runtime that has one; None does not ask what the seal refuses
    + default: the name of the default runtime
    + takes_runc: whether containers that ask for runc are handled like those that ask for nothing
    + door: whether dockerd is to ask before it acts
    """

    policy: Mapping[str, Any] | None
    seals: Mapping[str, Any]
    default: str
    takes_runc: bool
    door: bool
    runtimes: Mapping[str, Any] = field(default_factory=dict)  # that dockerd has registered


def preview_lines(text: str, ask: Ask) -> Iterator[str]:
    """
    Return lines about containers, lines about images that nobody accepted, and an error if any.

    + text: what an operator declares, in JSON
    + ask: returns Docker's answer to a path of its API
    """
    try:
        yield from _lines(Declared(**json.loads(text)), ask)
    except (Undecided, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        yield f"preview_error {json.dumps(_shown(str(error)))}"
    yield "preview told"


def _lines(given: Declared, ask: Ask) -> Iterator[str]:
    info = ask("/info")
    root = info.get("DockerRootDir")
    if not root:
        raise Undecided("Docker names no data root")
    declared = replace(given, runtimes=info.get("Runtimes") or {})
    listed = [item["Id"] for item in ask("/containers/json?all=1")]
    yield from in_time(lambda: (_line(declared, root, item) for item in listed), _LIMIT_S)
    if declared.door and (seal := declared.seals.get(declared.default)) is not None:
        made = [*(ask("/volumes").get("Volumes") or ())], ask("/networks")
        yield from in_time(lambda: _not_again(*made, seal, root), _LIMIT_S)
    if declared.policy is not None:
        yield from (_image_line(item) for item in _unaccepted(declared.policy, ask))


def in_time(lines: Callable[[], Iterable[str]], limit_s: int) -> Iterator[str]:
    """
    Return lines that a process of its own makes.

    A signal ends that process wherever it waits, which no handler does: signal(7). Raises
    ``Undecided`` after the lines that were made within the limit.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(limit_s)
            for line in lines():
                _write(writing, f"{line}\n".encode("utf-8", "replace") if line else b"")
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", newline="\n") as made:
        yield from (line[:-1] for line in made if line.endswith("\n"))
    if os.waitpid(child, 0)[1] != 0:
        raise Undecided(f"no decision within {limit_s} s")


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _line(declared: Declared, root: str, identity: str) -> str:
    """Return the line about a container; empty if nothing of ours decides."""
    name, asked = identity[:12], ""
    try:
        container = read_container(root, identity)
        name, asked = container.name, container.host.get("Runtime") or ""
        place = _place(declared, container, root)
    except Undecided as error:
        if not Path(root, "containers", identity).is_dir():  # removed since
            return ""
        place = _refused(f"Docker's files about it cannot be read: {error}")
    except Exception as error:  # noqa: BLE001 - one container hides no other
        why = f"the judge failed: {type(error).__name__}: {error}; report this error"
        place = _refused(why)
    if place is None:
        return ""
    reasons = [_shown(item) for item in place.pop("reasons", ())]
    told = {"asked": asked, "id": identity, "name": name, **place}
    shown: dict[str, Any] = {key: _shown(value) for key, value in sorted(told.items())}
    return f"place {_json({**shown, 'reasons': reasons} if reasons else shown)}"


def _refused(*reasons: str) -> dict[str, Any]:
    return {"where": "refused", "why": "; ".join(reasons), "reasons": reasons, "when": "start"}


def _place(declared: Declared, container: Container, root: str) -> dict[str, Any] | None:
    """
    Return where a container would run, why and when; None if nothing of ours decides.

    At its next ``start``, or only when it is ``recreated``, because it was created with a runtime
    that is not ours.
    """
    asked = container.host.get("Runtime") or ""
    if asked != declared.default and asked in declared.seals:
        return {**_sealed(declared, container, root, asked, f"runtime {asked}"), "when": "start"}
    if declared.policy is None:
        return None
    is_ours = asked in ("", declared.default) or (
        declared.takes_runc and asks_for_runc(asked, declared.runtimes.get(asked))
    )
    where, because, *_ = decide(container, declared.policy)
    place: dict[str, Any] = {"where": where, "why": because}
    if where == "sandbox":
        place = _sealed(declared, container, root, declared.default, because)
        if place["where"] == "sandbox" and not is_named_like(container, declared.policy):
            # an app of the same image
            place["why"] = NOT_INFRASTRUCTURE + place["why"].removeprefix(because)
    return {**place, "when": "start" if is_ours else "recreated"}


def _sealed(
    declared: Declared, container: Container, root: str, runtime: str, why: str
) -> dict[str, Any]:
    seal = declared.seals.get(runtime)
    if seal is None:
        return {"where": "sandbox", "why": why}
    found = violations(Asked(container, root, seal, None, declared.policy))
    if found.refused:
        imitates = [why] if why.startswith("not the accepted ") else []
        return _refused(*found.refused, *imitates)
    gone = [item for _, items in sorted(found.stripped) for item in items]
    without = [f"without {', '.join(gone)}"] if gone else []
    return {"where": "sandbox", "why": "; ".join((why, *without))}


def _not_again(
    volumes: Iterable[Mapping[str, Any]],
    networks: Iterable[Mapping[str, Any]],
    seal: Mapping[str, Any],
    root: str,
) -> Iterator[str]:
    """Return lines about volumes and networks that nobody could create again."""
    for item in volumes:
        try:
            asked = requested_volume({**item, "DriverOpts": item.get("Options")}, root)
            found = asked and violations(Asked(asked, root, seal)).refused
        except Undecided as error:
            found = (str(error),)
        yield _again_line("volume", item["Name"], found or ())
    for item in networks:
        if item["Name"] not in _DOCKERS_NETWORKS:
            yield _again_line("network", item["Name"], refused_network(_body(item), _DAEMON_JSON))


def _body(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request for a network has; the bridge that it names would be gone by then."""
    options = network.get("Options") or {}
    return {**network, "Options": {key: options[key] for key in options if key != BRIDGE}}


def _again_line(kind: str, name: str, found: Sequence[str]) -> str:
    told = {"kind": kind, "name": _shown(name), "why": _shown("; ".join(found))}
    return f"not_again {_json(told)}" if found else ""


def _unaccepted(policy: Mapping[str, Any], ask: Ask) -> Iterator[dict[str, Any]]:
    """Return the images of known shapes that no entry of the policy accepts."""
    accepted = {entry["image"] for entry in policy["entries"]}
    for image in _listed_images(policy, ask):
        given = [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())]
        named = [(shape, _names_of(shape, given)) for shape in policy["shapes"]]
        found = [(shape, names) for shape, names in named if names]
        if found and image["Id"] not in accepted:
            shape, names = found[0]
            yield {
                "id": image["Id"],
                "names": names,
                "shapes": [item["name"] for item, _ in found],
                "recorded": shape["recorded"],
            }


def _names_of(shape: Mapping[str, Any], names: list[str]) -> list[str]:
    repositories = {repository(item) for item in shape["repositories"]}
    return [name for name in names if repository(name) in repositories]


def _listed_images(policy: Mapping[str, Any], ask: Ask) -> list[dict[str, Any]]:
    """Return images of shapes only: with containerd's store, a long list takes seconds."""
    every = [name for shape in policy["shapes"] for name in shape["repositories"]]
    # as Docker lists them
    names = [re.sub("^docker[.]io/(library/)?", "", name) for name in every]
    if not names:
        return []
    filters = quote(_json({"reference": names}), safe="._-")
    found: list[dict[str, Any]] = ask(f"/images/json?filters={filters}")
    return found


def _image_line(image: Mapping[str, Any]) -> str:
    return f"unaccepted {_json(image)}"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _shown(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
