"""Files that a node of any kind has at its first boot, and how it is used before us."""

import io
import random
import socket
import tarfile
from pathlib import Path

from tools.lab import parts, recipe
from tools.lab.build import Tell
from tools.lab.cache import Cache, output_of
from tools.lab.node import Files, LabNode
from tools.lab.spec import Flavour, LabError, NodeSpec

_PORTS = range(20_000, 32_000)
"""Below the ports that Linux uses for outgoing connections: a node keeps its port for life."""

_IMAGE_LINKS = ("bin", "sbin", "lib", "lib64")
_IMAGE_DIRECTORIES = {"proc": 0o555, "sys": 0o555, "dev": 0o755, "etc": 0o755, "tmp": 0o1777}


def built_docker(flavour: Flavour, *, cache: Cache, tell: Tell) -> Files:
    """Return the programs of the lab's own Docker, if this flavour has it; else nothing."""
    if not flavour.built_docker:
        return {}
    found: Files = {}
    for part in parts.DOCKER_29:
        home = parts.take(part, cache=cache, tell=tell)
        for program in part.programs:
            found[f"/usr/sbin/{program.name}"] = ((home / program.name).read_bytes(), 0o755)
    return found


def first_files(spec: NodeSpec, *, public_key: str, runsc_package: Path) -> Files:
    """Return the files that a node has at its first boot."""
    files: Files = {"/home/debian/.ssh/authorized_keys": (public_key.encode(), 0o644)}
    if options := recipe.docker_options(spec.flavour):
        files["/etc/default/docker"] = (options.encode(), 0o644)
    if spec.flavour.firewall == "nftables":  # dockerd does not set these with nftables
        files["/etc/sysctl.d/lab.conf"] = (recipe.FORWARDING.encode(), 0o644)
    if spec.flavour.init == "sysvinit":
        files[recipe.SYSVINIT] = (recipe.resource("sysvinit.sh").encode(), 0o755)
    if spec.lived_in:
        files["/etc/docker/daemon.json"] = (recipe.resource("lived-in.json").encode(), 0o644)
        files["/usr/local/bin/runsc"] = (_program_in(runsc_package), 0o755)
        files["/root/probe.tar"] = (probe_image(), 0o644)
    return files


def live_in(node: LabNode) -> None:
    """Make a node look used by others: run lived-in.sh. Raise ``LabError`` if that fails."""
    ran = node.exec("sh", "-c", recipe.resource("lived-in.sh"))
    if ran.code != 0:
        raise LabError(
            f"lab: {node.name}: lived-in.sh failed with exit code {ran.code}", because=ran.stderr
        )


def probe_image() -> bytes:
    """
    Return a tar for ``docker import``, so that no registry is needed.

    Containers of this image run the node's own programs, with ``-v /usr:/usr:ro``.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in _IMAGE_LINKS:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
        for name, mode in _IMAGE_DIRECTORIES.items():
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, mode
            archive.addfile(directory)
    return buffer.getvalue()


def free_port() -> int:
    """Return a port on 127.0.0.1 on which nothing listens. Raise ``LabError`` if none is found."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LabError(f"lab: no free port found between {_PORTS.start} and {_PORTS.stop}")


def _program_in(package: Path) -> bytes:
    tar = output_of("dpkg-deb", "--fsys-tarfile", str(package), todo="run .ci/setup")
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        program = archive.extractfile("./usr/bin/runsc")
        return program.read() if program else b""
