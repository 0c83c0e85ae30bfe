"""The sources of a release: which files it has, their URLs and their checksums."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases import Release, parse_release
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.releases.lockfile import FILES as LAYOUTS
from pyinfra_gvisor.releases.lockfile import LAST_LOOSE, layout_of

(ARCHIVE,) = LAYOUTS["archive"]
LOOSE = LAYOUTS["loose"]
PACKAGE = "runsc.deb"
FILES = (ARCHIVE, *LOOSE, PACKAGE)

# https://gvisor.dev/docs/user_guide/install/, and the assets of the releases on GitHub
OFFICIAL_URL = "https://storage.googleapis.com/gvisor/releases/release/{release}/{arch}/{file}"
GITHUB_URL = (
    "https://github.com/google/gvisor/releases/download/release-{release}/gvisor-{arch}.tar.bz2"
)
APT_URL = "https://storage.googleapis.com/gvisor/releases"
APT_KEY_URL = "https://gvisor.dev/archive.key"

_NAMED = {"official": OFFICIAL_URL, "github": GITHUB_URL}
_SOURCE = re.compile(r"official|github|apt|debian|apt\+https?://\S+|https?://\S+|/\S.*")
_USERINFO = re.compile(r"(?<=//)[^/\s]*@")  # up to the last "@": a password may contain one

Kind = Literal["url", "file", "apt", "debian"]


class ReleaseFile(NamedTuple):
    """One file to download: its name in the layout, its sha512, and its URL or path."""

    name: str
    sha512: str
    location: str


@dataclass(frozen=True)
class Fetch:
    """
    Everything that a node must know to install one release.

    ``origin`` is for people: a URL without user and password, a path, or a package's name.
    ``sidecars``: the release needs its ``gvisor-bin/`` to run. ``timeout_s``: seconds without
    progress after which a download fails.
    """

    release: str
    kind: Kind
    files: tuple[ReleaseFile, ...]
    origin: str
    sidecars: bool
    timeout_s: int
    repository: str = ""
    key: str = ""


@dataclass(frozen=True)
class Archive:
    """
    The source of a release and the checksums of its files.

    ``source`` is ``official``, ``github``, ``apt``, ``apt+https://host/path`` (a mirror with its
    key in ``archive.key``), ``debian``, a URL or an absolute path on the controller. The last two
    may contain ``{release}``, ``{arch}`` and ``{file}``. ``sha512`` is by architecture: of the
    archive, or of each file by name; if empty, the lock of this package counts.
    ``download_timeout_s``: seconds without progress after which a download fails.
    """

    source: str = "official"
    sha512: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    download_timeout_s: int = 60

    def checksum(self, release: str, arch: str) -> Mapping[str, str]:
        """Return the sha512 of each file by name; empty if none is known."""
        if not self.sha512:
            return known(release, arch)
        given = self.sha512.get(arch, {})
        return {ARCHIVE: given} if isinstance(given, str) else given

    def fetch(self, release: str, arch: str) -> Fetch:
        """Return what to download for ``release``. Raises ``Problem`` if that cannot be decided."""
        parsed = parse_release(release)
        made = Fetch(
            release,
            "debian",
            (),
            "Debian's package runsc",
            sidecars=parsed > LAST_LOOSE and self.source != "debian",
            timeout_s=self.download_timeout_s,
        )
        if self.source == "debian":
            return made
        sums = self.checksum(release, arch)
        if self.source.startswith("apt"):
            return self._apt(made, sums, arch)
        files = self._files(parsed, arch, sums)
        kind: Kind = "file" if self.source.startswith("/") else "url"
        return replace(made, kind=kind, files=files, origin=shown_url(files[0].location))

    def below(self, directory: str) -> Archive:
        """Return this archive with another source: a controller's directory in bucket layout."""
        return replace(self, source=f"{directory.rstrip('/')}/{{release}}/{{arch}}/{{file}}")

    def _files(
        self, release: Release, arch: str, sums: Mapping[str, str]
    ) -> tuple[ReleaseFile, ...]:
        names = _layout(release, arch, sums)
        template = _NAMED.get(self.source, self.source)
        if len(names) > 1 and "{file}" not in template:
            raise _needs_archive(self.source)
        return tuple(
            ReleaseFile(name, sums[name], _filled(template, str(release), arch, name))
            for name in names
        )

    def _apt(self, made: Fetch, sums: Mapping[str, str], arch: str) -> Fetch:
        if PACKAGE not in sums:
            raise _no_sums((PACKAGE,), sums, arch)
        base = self.source.removeprefix("apt").removeprefix("+").rstrip("/")
        return replace(
            made,
            kind="apt",
            files=(ReleaseFile(PACKAGE, sums[PACKAGE], ""),),
            origin=f"apt {shown_url(base or APT_URL)}",
            repository=base or APT_URL,
            key=f"{base}/archive.key" if base else APT_KEY_URL,
        )


def check_source(text: str) -> None:
    """Raise ``Problem`` unless ``gvisor_source`` may be this."""
    if not _SOURCE.fullmatch(text) or not text.isprintable():
        todo = "write official, github, apt, debian, a URL or an absolute path"
        raise Problem("not a valid source", got=shown_url(text), todo=todo)
    if _USERINFO.search(text):
        what = "the URL has a password, which every user of the node can see during a download"
        todo = "use a URL without a password, and allow the node's address on the server"
        raise Problem(what, got=shown_url(text), todo=todo)


def shown_url(text: str) -> str:
    """Return a URL that is safe to show: without user, password and query."""
    address, question, _ = _USERINFO.sub("", text).partition("?")
    return f"{address}?***" if question else address


def _layout(release: Release, arch: str, sums: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files to download: those with checksums; the release's layout if both have."""
    layouts = [names for names in ((ARCHIVE,), LOOSE) if all(name in sums for name in names)]
    by_date = LAYOUTS[layout_of(release)]
    if not layouts:
        raise _no_sums(by_date, sums, arch)
    return by_date if by_date in layouts else layouts[0]


def _filled(template: str, release: str, arch: str, file: str) -> str:
    values = {"release": release, "arch": arch, "file": file}
    return re.sub(r"\{(release|arch|file)\}", lambda match: values[match[1]], template)


def _needs_archive(source: str) -> Problem:
    if source == "github":
        return Problem(
            f"GitHub has only archives, but releases up to {LAST_LOOSE} are loose files",
            todo='use gvisor_source = "official"',
        )
    return Problem(
        "the release has two files, which cannot have the same URL",
        got=shown_url(source),
        todo="put {file} into gvisor_source in place of the file's name",
    )


def _no_sums(names: tuple[str, ...], sums: Mapping[str, str], arch: str) -> Problem:
    lacking = [name for name in names if name not in sums]
    wanted = ", ".join(f'"{name}": "<sha512>"' for name in names)
    return Problem(
        f"the sha512 of {' and '.join(lacking)} is unknown",
        got=", ".join(sums) or None,
        todo=f'set gvisor_sha512 = {{"{arch}": {{{wanted}}}}}',
    )
