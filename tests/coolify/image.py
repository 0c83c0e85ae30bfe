"""
The stand-in's container image, as a tar for ``docker import``.

It has no programs of its own: docker-compose.prod.yml mounts the node's PHP, and its busybox, since
the image of Coolify is Alpine's and what runs in it cannot count on GNU's programs.
"""

import io
import shutil
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
_SITE_DIRECTORIES = ("storage/jobs", "storage/app/ssh", "storage/app/applications", "public")
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
            _add(archive, name, tarfile.SYMTYPE, 0o777, target=target)
        for name, mode in _DIRECTORIES.items():
            _add(archive, name, tarfile.DIRTYPE, mode)
        for name, text in _ACCOUNTS.items():
            _add(archive, name, tarfile.REGTYPE, 0o644, text.encode())
        for name, source in _PROGRAMS.items():
            _add(archive, name, tarfile.REGTYPE, 0o755, (_CONTAINER / source).read_bytes())
        with tempfile.TemporaryDirectory() as directory:
            _lay_out_site(Path(directory), variant)
            archive.add(directory, HTML, filter=_owned_by_www_data)
    return buffer.getvalue()


def _lay_out_site(root: Path, variant: str) -> None:
    lay_out(root, variant)
    for name in _SITE_DIRECTORIES:
        (root / name).mkdir(parents=True)
    for name, source in _SITE.items():
        shutil.copyfile(_CONTAINER / source, root / name)


def _owned_by_www_data(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = WWW_DATA
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _add(
    archive: tarfile.TarFile,
    name: str,
    kind: bytes,
    mode: int,
    content: bytes = b"",
    *,
    target: str = "",
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.size = kind, mode, target, len(content)
    archive.addfile(member, io.BytesIO(content))
