"""Where a release's files come from, which they are, and what they must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from pyinfra_gvisor.errors import Problem
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
_USERINFO = re.compile(r"(?<=//)[^/\s]*@")  # to the last one: a password may have one

Kind = Literal["url", "file", "apt", "debian"]


class ReleaseFile(NamedTuple):
    """One file to fetch: its name in the layout, its sha512, and its URL or path."""

    name: str
    sha512: str
    location: str


@dataclass(frozen=True)
class Fetch:
    """
    All that a node must know to get one release.

    ``origin`` is for people: a URL without user and password, a path, or a package's name.
    ``sidecars``: the release does not run without ``gvisor-bin/``.
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
    Where a release comes from and what its files must be.

    ``source`` is ``official``, ``github``, ``apt``, ``apt+https://host/path`` (a mirror, whose key
    is ``archive.key`` in there), ``debian``, a URL or an absolute path on the controller; the last
    two may hold ``{release}``, ``{arch}`` and ``{file}``. ``sha512`` is by architecture: that of
    the archive, or those of files by name. Where it is empty, what this package knows counts.
    ``download_timeout_s``: seconds without progress until a download is given up.
    """

    source: str = "official"
    sha512: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    download_timeout_s: int = 60

    def checksum(self, release: str, arch: str) -> Mapping[str, str]:
        """The sha512 of each file by name; empty if nobody named one."""
        if not self.sha512:
            return known(release, arch)
        given = self.sha512.get(arch, {})
        return {ARCHIVE: given} if isinstance(given, str) else given

    def fetch(self, release: str, arch: str) -> Fetch:
        """What to get for ``release``; raises ``Problem`` if that cannot be said."""
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
        """The same, from a directory on the controller that has the bucket's layout below it."""
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
        raise Problem("not a source", got=shown_url(text), todo=todo)
    if _USERINFO.search(text):
        what = "a password in a URL is seen by everybody on the node while it downloads"
        raise Problem(
            what, got=shown_url(text), todo="serve the files to the node's address instead"
        )


def shown_url(text: str) -> str:
    """A URL as it may be shown: without user and password, and without what a query may sign."""
    address, question, _ = _USERINFO.sub("", text).partition("?")
    return f"{address}?***" if question else address


def _layout(release: Release, arch: str, sums: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the files to fetch: those whose sums are known, by date if all are."""
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
            f"GitHub has archives only, and releases up to {LAST_LOOSE} are loose files",
            todo='use gvisor_source = "official"',
        )
    return Problem(
        "two loose files cannot come from one URL",
        got=shown_url(source),
        todo="write {file} into gvisor_source where the file's name belongs",
    )


def _no_sums(names: tuple[str, ...], sums: Mapping[str, str], arch: str) -> Problem:
    lacking = [name for name in names if name not in sums]
    wanted = ", ".join(f'"{name}": "<sha512>"' for name in names)
    return Problem(
        f"no sha512 is known of {' and '.join(lacking)}",
        got=", ".join(sums) or None,
        todo=f'write gvisor_sha512 = {{"{arch}": {{{wanted}}}}}',
    )
