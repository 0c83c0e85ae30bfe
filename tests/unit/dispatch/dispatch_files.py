"""Docker's files about a container, as dockerd 29 writes them below its data root."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.unit.answers import compact
from tests.unit.fake_docker import SECRET

IMAGE = f"sha256:{7:064x}"


def write_container(
    root: Path,
    number: int,
    *,
    name: str = "app",
    image: str = "bb:1",
    config: Mapping[str, Any] | None = None,
    host: Mapping[str, Any] | None = None,
    mounts: Mapping[str, Mapping[str, Any]] | None = None,
    others: Mapping[str, Any] | None = None,
) -> str:
    """
    Write the files of a container, and return its id.

    + mounts: mount points by destination
    """
    identity = f"{number:064x}"
    directory = root / "containers" / identity
    directory.mkdir(parents=True)
    top = {
        "ID": identity,
        "Name": f"/{name}",
        "Image": IMAGE,
        "Path": "sleep",
        "Args": ["1000"],
        "MountPoints": {to: {"Destination": to, **mount} for to, mount in (mounts or {}).items()},
        "Config": {
            "Image": image,
            "Env": [f"PASSWORD={SECRET}"],
            "Cmd": ["sleep", "1000"],
            "Labels": {},
            **(config or {}),
        },
        **(others or {}),
    }
    given = {"NetworkMode": "bridge", "IpcMode": "private", "Runtime": "gvisordefault"}
    (directory / "config.v2.json").write_text(compact(top))
    (directory / "hostconfig.json").write_text(compact({**given, **(host or {})}))
    return identity


def bind(source: str | Path, *, writable: bool = True) -> dict[str, Any]:
    """A directory or file of the node as a mount point."""
    return {"Type": "bind", "Source": str(source), "RW": writable}


def infrastructure(**changes: Any) -> dict[str, Any]:
    """An entry of ``gvisor_infrastructure`` that the container of ``write_container`` fulfils."""
    return {
        "image": IMAGE,
        "reason": "routes requests to every app",
        "command": ("sleep", "1000"),
        "env": (f"PASSWORD={SECRET}",),
        "without_labels": ("com.docker.compose.",),
        **changes,
    }


def listed_ids(identities: Sequence[str]) -> str:
    """The answer of ``/containers/json?all=1``."""
    return compact([{"Id": identity} for identity in identities])
