"""
The stand-in's container image, as a tar for ``docker import``.

It has no programs of its own: docker-compose.prod.yml mounts the node's PHP, and its busybox, since
the image of Coolify is Alpine's and what runs in it cannot count on GNU's programs.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.coolify.sources import lay_out

WWW_DATA = 9999
"""USER_ID and GROUP_ID in Coolify's docker/production/Dockerfile."""

HTML = "var/www/html"
_CONTAINER = Path(__file__).parent / "container"
_BUSYBOX = "bin/busybox"
_LINKS = {"lib": "usr/lib", "lib64": "usr/lib64"}
_DIRECTORIES = {**dict.fromkeys(("proc", "sys", "dev", "etc", "usr"), 0o755), "tmp": 0o1777}
_PROGRAMS = {
    "entrypoint": "entrypoint.sh",
    "init": "init",
    "etc/entrypoint.d/99-own.sh": "own_entry.sh",
}
_SITE = {
    "artisan": "artisan",
    "horizon.php": "horizon.php",
    "deployment.php": "deployment.php",
    "public/index.php": "index.php",
}
_SITE_DIRECTORIES = ("storage/jobs", "storage/app/ssh", "storage/app/applications")
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    f"www-data:x:{WWW_DATA}:{WWW_DATA}:www-data:/var/www:/bin/sh\n",
    "etc/group": f"root:x:0:\nwww-data:x:{WWW_DATA}:\n",
}


def image_changes(version: str) -> list[str]:
    """What ``docker import`` is told about the image of a version."""
    return [
        "USER www-data",
        "WORKDIR /var/www/html",
        f"ENV COOLIFY_VERSION={version}",
        'ENTRYPOINT ["/entrypoint"]',
        'CMD ["/init"]',
    ]


def image_tar(variant: str, *, applets: Iterable[str]) -> bytes:
    """
    The root file system with one of the historical texts of docker.php in it.

    ``applets`` are the paths that ``busybox --list-full`` prints.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        links = {**_LINKS, **dict.fromkeys(applets, f"/{_BUSYBOX}")}
        del links[_BUSYBOX]  # which is mounted there
        for name, target in links.items():
            link = _member(name, tarfile.SYMTYPE, 0o777)
            link.linkname = target
            archive.addfile(link)
        for name, mode in _DIRECTORIES.items():
            archive.addfile(_member(name, tarfile.DIRTYPE, mode))
        for name, text in _ACCOUNTS.items():
            _add(archive, name, text.encode(), mode=0o644)
        for name, source in _PROGRAMS.items():
            _add(archive, name, (_CONTAINER / source).read_bytes(), mode=0o755)
        _add_site(archive, variant)
    return buffer.getvalue()


def _add_site(archive: tarfile.TarFile, variant: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        lay_out(root, variant)
        for name in _SITE_DIRECTORIES:
            (root / name).mkdir(parents=True, exist_ok=True)
        for name, source in _SITE.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((_CONTAINER / source).read_bytes())
        archive.add(root, HTML, filter=_owned_by_www_data)


def _owned_by_www_data(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = WWW_DATA
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int) -> None:
    member = _member(name, tarfile.REGTYPE, mode)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, mode
    return member
