"""
Whether dockerd may do what it is asked for, before it does anything.

When a runtime is called, dockerd has mounted, copied, made directories and opened connections
already. So what a container may not have is refused here, and again when it starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyinfra_gvisor.judge import api_keys
from pyinfra_gvisor.judge.asked import Asked, NodePaths
from pyinfra_gvisor.judge.container import Container, Mount
from pyinfra_gvisor.judge.creation import refusal
from pyinfra_gvisor.judge.docker_files import Undecided, read_container
from pyinfra_gvisor.judge.docker_request import Request
from pyinfra_gvisor.judge.infrastructure import (
    Decision,
    decide,
    decide_requested,
    not_of_its_kind,
)
from pyinfra_gvisor.judge.mounts import refused_mounts
from pyinfra_gvisor.judge.networks import refused_endpoint, refused_network
from pyinfra_gvisor.judge.permits import HEADER, bind_permit, door_permit, take_permit
from pyinfra_gvisor.judge.places import below
from pyinfra_gvisor.judge.requested import (
    find_container,
    requested_container,
    requested_task,
    requested_volume,
)
from pyinfra_gvisor.judge.rules import (
    DEFAULT_RUNTIME,
    Rules,
    asks_for_runc,
    has_place_of_runc,
    in_force,
    rules_of,
)
from pyinfra_gvisor.judge.seal import control_group, violations

_IMAGE_ID = re.compile("(sha256:)?([0-9a-f]{64})")
_DRIVER = re.compile(r"[A-Za-z0-9][\w.:/-]*", re.ASCII)
_SHORT = 1 << 13  # bytes of a request that takes no time to read
_DATABASE = "/volumes/metadata.db"  # dockerd has it open: moby, daemon/volume/service/db.go
_CREATE = "/containers/create"
_PERMIT = "An operator can allow this request once: pyinfra-gvisor permit"

_KEYS_OF_SWARM = ("/swarm", "/swarm/unlockkey")  # with them others join it as managers
# Requests that give nobody anything of the node. What is not known is refused.
_PASS = re.compile(
    r"GET|HEAD|OPTIONS"
    r"|DELETE /containers/[^/]+"
    r"|DELETE /(images|networks|volumes|services|secrets|configs|nodes)/.+"
    r"|POST /(auth|commit|session|grpc|build/(prune|cancel)|images/(load|prune|.+/(push|tag)))"
    r"|POST /(containers|networks|volumes)/prune"
    r"|POST /containers/[^/]+/(stop|kill|wait|resize|attach|pause|unpause|rename)"
    r"|POST /exec/[^/]+/(start|resize)"
    r"|POST /networks/[^/]+/disconnect"
    r"|POST /(secrets|configs)/(create|[^/]+/update)"
    r"|POST /swarm/(leave|unlock)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Door:
    """
    What the door goes by.

    + root: Docker's data root; ``runtimes``: those in daemon.json, by name
    """

    rules: Rules
    root: str
    runtimes: Mapping[str, Any]
    paths: NodePaths

    def refused(self, container: Container, rules: Rules) -> tuple[str, ...]:
        """Return what a container may not have that has no file of its own yet."""
        return () if rules.seal is None else violations(self.asked(container, rules)).refused

    def asked(self, container: Container, rules: Rules) -> Asked:
        """Return a container as who judges what a sandbox may have takes it."""
        return Asked(container, self.root, rules.seal or {}, None, self.rules.policy, self.paths)


def passes(request: Request) -> bool:
    """Return True for a request that passes by what it says, whatever is on the node."""
    word = request.method
    if word not in ("GET", "HEAD", "OPTIONS"):
        word = f"{word} {request.path}"
        if request.is_old:
            return False
    elif request.path in _KEYS_OF_SWARM:
        return False
    if _PASS.fullmatch(word):
        return True
    for pattern, judge in _BY_ITSELF:
        if pattern.fullmatch(word):
            try:
                judge(request)
            except Exception:  # noqa: BLE001 - a process of its own finds out why
                return False
            return True
    return False


def passes_at_once(request: Request, paths: NodePaths) -> bool:
    """
    Return True for a container that passes and names no files: nothing keeps its judgement waiting.

    One that is refused, or that could not be judged, has to be judged again.
    """
    if f"{request.method} {request.path}" != f"POST {_CREATE}" or HEADER in request.headers:
        return False
    if request.body is None or len(request.body) > _SHORT:
        return False
    try:
        host = request.read(api_keys.CONTAINER).get("HostConfig") or {}
    except Exception:  # noqa: BLE001 - a process of its own finds out why
        return False
    modes = (str(host.get(key) or "") for key in ("IpcMode", "NetworkMode", "PidMode"))
    if any(host.get(key) for key in ("Binds", "Mounts", "VolumesFrom")):
        return False
    return not any(mode.startswith("container:") for mode in modes) and (
        why_refused(request, paths) == ""
    )


def why_refused(request: Request, paths: NodePaths) -> str:
    """Return why dockerd must not do what is requested; empty if it may."""
    given = request.headers.get(HEADER, "")
    if passes(request) or door_permit(given, paths.run):
        return ""
    try:
        why = _why(request, paths)
        return _with_permit(request, given, why, paths) if given else why
    except Exception as error:  # noqa: BLE001 - whatever fails, nothing is done
        what = f"{type(error).__name__}: {error}"
        return f"the judge failed: {what}; report this error"


def _with_permit(request: Request, given: str, why: str, paths: NodePaths) -> str:
    """
    Take a permit of one use for a request that is refused, or that makes a container under runc.

    Return why it is refused all the same. Tasks of a service have no permit, so it has none either.
    """
    if request.path.startswith("/services/"):
        return why
    kind = _kind(request, paths)
    if not why and kind != "runc":
        return ""
    none = take_permit(given, request, kind, paths.run)
    without = why or "a container under runc needs an exception"
    return none and f"{without}. The given exception does not help: {none}"


def made(request: Request, container: str, paths: NodePaths) -> None:
    """Give a container the permit of the request that made it, if this has one."""
    if request.path == _CREATE and (given := request.headers.get(HEADER, "")):
        bind_permit(given, request, container, paths.run)


def _kind(request: Request, paths: NodePaths) -> str:
    """Return what a container gets by a permit: ``runc`` if it asks for that, else ``unsealed``."""
    if request.path != _CREATE:
        return "unsealed"
    try:
        asked = (request.read(api_keys.CONTAINER).get("HostConfig") or {}).get("Runtime") or ""
    except Undecided:  # it is refused
        return "unsealed"
    return "runc" if asks_for_runc(asked, in_force(paths.daemon_json)[1].get(asked)) else "unsealed"


def _why(request: Request, paths: NodePaths) -> str:
    try:
        _refuse(request, paths)
    except Undecided as error:
        return str(error)
    return ""


def _refuse(request: Request, paths: NodePaths) -> None:
    """Raise ``Undecided`` with why dockerd must not do what is requested."""
    if request.is_old:
        raise Undecided("Docker's API before version 1.24 is refused; use a newer client")
    rules, runtimes = in_force(paths.daemon_json)
    if rules.policy is None:
        todo = "run pyinfra-gvisor apply"
        raise Undecided(f"{paths.daemon_json} has no runtime {DEFAULT_RUNTIME}; {todo}")
    door = Door(rules, _data_root(request.docker, paths.processes), runtimes, paths)
    word = f"{request.method} {request.path}"
    for pattern, judge in _BY_FILES:
        if found := pattern.fullmatch(word):
            judge(door, request, *found.groups())
            return
    for pattern, alone in _BY_ITSELF:
        if pattern.fullmatch(word):
            alone(request)
    raise Undecided(f"pyinfra-gvisor has no rule for {word[:80]}. {_PERMIT}")


def in_report(paths: NodePaths) -> bool:
    """Return True if what is refused is only to be reported."""
    try:
        return in_force(paths.daemon_json)[0].door == "report"
    except Undecided:
        return False


def _data_root(docker: int, processes: str) -> str:
    """Return the directory in which a running dockerd keeps its data."""
    found, directory = set(), f"{processes}/{docker}/fd"
    for name in os.listdir(directory):  # noqa: PTH208 - each creation looks at all, maybe thousands
        try:
            path = os.readlink(f"{directory}/{name}")  # noqa: PTH115
        except OSError:  # closed meanwhile
            continue
        if path.endswith(_DATABASE):
            found.add(path.removesuffix(_DATABASE))
    if len(found) == 1:  # while dockerd copies an image, it has files of the image open
        return found.pop()
    got = f"process {docker} has {len(found)} files {_DATABASE} open, expected 1"
    raise Undecided(f"Docker's data root is unknown: {got}; try again")


def _create(door: Door, request: Request) -> None:
    body = request.read(api_keys.CONTAINER)
    container = requested_container(body, request.asked("name"), door.root)
    _refuse_drivers(door, container)
    ends = ((body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}).values()
    _refuse_endpoints(*ends)
    runtime = container.host.get("Runtime") or ""
    if runtime in ("", DEFAULT_RUNTIME) or _is_taken(door, runtime):
        _judge(door, container)
    else:
        _create_by_name(door, container, runtime)


def _judge(door: Door, container: Container) -> None:
    """Refuse what a container may not have that asks for no runtime of its own."""
    container = _with_image(container)
    found = decide_requested(container, door.rules.policy or {})
    if found.where == "refused":
        if extra := _not_of_its_kind(door, container, found):
            raise Undecided(f"{found.why}. {extra}")
        return
    if found.where == "runc":
        _refuse_filling(door, container)
        container = replace(container, mounts=(), host=_logs(container))
    if refused := door.refused(container, door.rules):
        raise Undecided(refusal(refused, found.why))


def _not_of_its_kind(door: Door, container: Container, found: Decision) -> str:
    """
    Return why a container may not be made that is not accepted yet, and what to do; empty if it may
    be made, so that its entry can be read.

    Then it asks for nothing of the node but what its kind has. Its start is refused.
    """
    if not found.fixed:  # only Docker knows the id of an image that has a name here
        does = f"'pyinfra-gvisor accept {found.accept}'"
        if not found.accept:
            does = "'pyinfra-gvisor infrastructure', which names its id"
        return f"Check the image, then run on the controller {does}"
    its = {*found.fixed.get("mounts", ()), *found.fixed.get("optional_mounts", ())}
    others = tuple(mount for mount in container.mounts if str(mount) not in its)
    labels = {"without_labels": ()}  # hooks of compose run after the start
    allowed = {**found.fixed, **labels, "optional_mounts": [*its, *map(str, others)]}
    other = [item.what for item in not_of_its_kind(container, allowed)]
    other += refused_mounts(door.asked(replace(container, mounts=others), door.rules))[0]
    if not other:
        return ""
    todo = "Create it without, or allow mounts in binds of gvisor_seal; then it can be accepted"
    return f"It cannot be created to accept it, because it has {'; '.join(other[:3])}. {todo}"


def _is_taken(door: Door, runtime: str) -> bool:
    """Return True if a name starts our program in the place of runc. A path is another program."""
    takes = door.rules.takes_runc and "/" not in runtime
    if not takes or not asks_for_runc(runtime, door.runtimes.get(runtime)):
        return False
    return has_place_of_runc(door.paths.divert)


def _with_image(container: Container) -> Container:
    """Return a container with the id of its image, if it is asked for by its id."""
    given = _IMAGE_ID.fullmatch(container.config.get("Image") or "")
    return replace(container, image_id=f"sha256:{given[2]}") if given else container


def _refuse_drivers(door: Door, container: Container) -> None:
    """
    Refuse a driver whose name could be a path to a tenant's file: moby, pkg/plugins/discovery.go.

    dockerd uses the one for volumes also for those that an image names.
    """
    names = {mount.driver for mount in container.mounts}
    names |= {container.host.get("VolumeDriver") or ""}
    allowed = (door.rules.seal or {}).get("network_volumes", "allow") == "allow"
    for name in names - {"", "local"}:
        if not allowed or not _DRIVER.fullmatch(name) or ".." in name:
            raise Undecided(refusal((f"volume driver {name[:80]}",), ""))
    log = (container.host.get("LogConfig") or {}).get("Type") or ""
    if log and (not _DRIVER.fullmatch(log) or ".." in log):
        raise Undecided(refusal((f"log driver {log[:80]}",), ""))


def _logs(container: Container) -> dict[str, Any]:
    return {"LogConfig": container.host.get("LogConfig")}


def _create_by_name(door: Door, container: Container, runtime: str) -> None:
    path = (door.runtimes.get(runtime) or {}).get("path") or ""
    if below(path, door.paths.runtimes) is not None and ".." not in path:
        if refused := door.refused(container, rules_of(path)):
            raise Undecided(refusal(refused, ""))
        return
    known = _with_image(container)
    if known.image_id and decide_requested(known, door.rules.policy or {}).where == "runc":
        _refuse_filling(door, known)
        return
    todo = "Recreate the container without a runtime, or with one of gvisor_runtimes"
    raise Undecided(f"runtime {runtime} does not use gVisor. {todo}")


def _refuse_filling(door: Door, container: Container) -> None:
    """
    Refuse that dockerd copies files of an image into a volume of infrastructure.

    Only the container's start shows which image a name has meant.
    """
    if container.image_id:
        return
    for mount in container.mounts:
        if mount.is_volume and mount.name and not _has_files(door.root, mount):
            raise Undecided(
                f"the volume {mount.name} of infrastructure is empty, so dockerd would copy files "
                "of the image into it. Create the container with the image's id instead of "
                f"{container.config.get('Image')}, or with the volume option nocopy"
            )


def _has_files(root: str, mount: Mount) -> bool:
    try:
        return any(Path(root, "volumes", mount.name, "_data").iterdir())
    except OSError:
        return False


def _start(request: Request) -> None:
    """
    Refuse a configuration at the start, which Docker before 25 takes from old clients.

    A directory of checkpoints is any directory of the node.
    """
    if directory := request.asked("checkpoint-dir"):
        todo = "Start the container without --checkpoint-dir"
        raise Undecided(f"dockerd would read {directory[:80]} of the node. {todo}")
    if request.body is not None and request.body.strip() not in (b"", b"{}", b"null"):
        request.read(api_keys.NOTHING)


def _update(request: Request) -> None:
    body = request.read(api_keys.UPDATE)
    given = [key for key in ("Devices", "DeviceRequests", "DeviceCgroupRules") if body.get(key)]
    if found := [*given, *control_group(body.get("CgroupParent"))]:
        raise Undecided(refusal(tuple(found), ""))


def _archive(door: Door, request: Request, name: str) -> None:
    request.asked("path")
    container = read_container(door.root, find_container(door.root, name))
    if decide(container, door.rules.policy or {}).where == "runc":
        return
    if door.rules.seal and (refused := refused_mounts(door.asked(container, door.rules))[0]):
        raise Undecided(refusal(tuple(refused), ""))  # read-only ones have mounts below
    for mount in container.mounts:
        if mount.writable and not mount.is_plain_volume and mount.kind not in ("tmpfs", "image"):
            raise Undecided(
                f"docker cp would write into a container that mounts {mount.source} of the node. "
                "Put the files into the image, or into a volume"
            )


def _plain_exec(request: Request) -> None:
    if request.read(api_keys.EXEC).get("Privileged") or _is_compose(request):
        raise Undecided("privileged")


def _is_compose(request: Request) -> bool:
    """Return True for Docker Compose: a file has it run commands in containers of any project."""
    return request.headers.get("User-Agent", "").startswith("compose/")


def _exec(door: Door, request: Request, name: str) -> None:
    body = request.read(api_keys.EXEC)
    container = read_container(door.root, find_container(door.root, name))
    is_outside = decide(container, door.rules.policy or {}).where == "runc"
    if is_outside and _is_compose(request):
        what = f"Compose may not run commands in {name[:80]}, which is infrastructure"
        raise Undecided(f"{what}. Use docker exec. {_PERMIT}")
    allowed = is_outside or (door.rules.seal or {}).get("privileged") == "allow"
    if body.get("Privileged") and not allowed:
        raise Undecided(refusal(("privileged",), ""))


def _volume(door: Door, request: Request) -> None:
    container = requested_volume(request.read(api_keys.VOLUME), door.root)
    if container and (refused := door.refused(container, door.rules)):
        raise Undecided(refusal(refused, ""))


def _network(door: Door, request: Request) -> None:
    body = request.read(api_keys.NETWORK)
    if found := refused_network(body, door.paths.daemon_json):
        todo = "Use driver bridge, and a private subnet or no subnet"
        raise Undecided(f"a network may not have: {'; '.join(found)}. {todo}")


def _connect(request: Request) -> None:
    _refuse_endpoints(request.read(api_keys.CONNECT).get("EndpointConfig"))


def _refuse_endpoints(*given: Mapping[str, Any] | None) -> None:
    if found := [item for end in given if end for item in refused_endpoint(end)]:
        todo = "Create the container without these options"
        raise Undecided(f"a container may not have in its networks: {'; '.join(found)}. {todo}")


def _service(door: Door, request: Request, *_: str) -> None:
    task = requested_task(request.read(api_keys.SERVICE), door.root)
    _refuse_drivers(door, task)
    _judge(door, task)


def _build(request: Request) -> None:
    remote = request.asked("remote")
    if remote not in ("", "client-session"):
        todo = "Download the source yourself, and build from your copy"
        raise Undecided(f"dockerd may not download {remote[:80]}. {todo}")
    if found := control_group(request.asked("cgroupparent")):
        raise Undecided(refusal(tuple(found), ""))


def _image(request: Request) -> None:
    source = request.asked("fromSrc")
    if source not in ("", "-"):
        todo = "Download the file yourself, and import your copy"
        raise Undecided(f"dockerd may not download {source[:80]}. {todo}")


_BY_ITSELF: tuple[tuple[re.Pattern[str], Callable[[Request], None]], ...] = tuple(
    (re.compile(pattern), judge)
    for pattern, judge in (
        ("POST /containers/[^/]+/(start|restart)", _start),
        ("POST /containers/[^/]+/update", _update),
        ("POST /containers/[^/]+/exec", _plain_exec),
        ("POST /networks/[^/]+/connect", _connect),
        ("POST /build", _build),
        ("POST /images/create", _image),
    )
)
_BY_FILES: tuple[tuple[re.Pattern[str], Callable[..., None]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), judge)
    for pattern, judge in (
        (f"POST {_CREATE}", _create),
        ("POST /containers/([^/]+)/exec", _exec),
        ("PUT /containers/([^/]+)/archive", _archive),
        ("POST /volumes/create", _volume),
        ("POST /networks/create", _network),
        ("POST /services/create", _service),
        ("POST /services/([^/]+)/update", _service),
    )
)
