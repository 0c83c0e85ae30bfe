"""
Read a release's checksums from the two places where gVisor's makers publish them.

The makers' release job writes both places. So two equal answers exclude a changed file in one
place, but not a fault of the makers. This module downloads no release.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from ipaddress import ip_address
from time import monotonic
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases import ARCHES, Release
from pyinfra_gvisor.releases.lockfile import FILES, LAST_LOOSE, layout_of

# `<release>/<arch>/<file>.sha512` beside each file: tools/make_release.sh, "point release"
BUCKET_URL = "https://storage.googleapis.com/gvisor/releases/release"
# `release-<release>/SHA512SUMS`, of archives only, from 20260817.0 on: kubespray#13465
GITHUB_URL = "https://github.com/google/gvisor/releases/download"

# All tags of releases in one answer: https://docs.github.com/en/rest/git/refs
TAGS_URL = "https://api.github.com/repos/google/gvisor/git/matching-refs/tags/release-"

TIMEOUT_S = 10.0
LIMIT_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
HTTP_OK = 200

_TAG = re.compile(r'"refs/tags/release-(20\d{6})\.(\d{1,3})"')

Published = dict[tuple[str, str], str]
"""The sha512 by architecture and file."""


class NoAnswer(Problem):
    """An origin cannot be reached, or has sent an unexpected answer."""


@dataclass(frozen=True)
class Origins:
    """
    The base URLs of both origins, and the timeout of each request in seconds.

    ``tags`` is the URL with the names of all releases.
    """

    bucket: str = BUCKET_URL
    github: str = GITHUB_URL
    tags: str = TAGS_URL
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        """Raise ``Problem`` unless all are plain https URLs (http only on loopback)."""
        for base in (self.bucket, self.github, self.tags):
            _check_base(base)
        if self.bucket.rstrip("/") == self.github.rstrip("/"):
            what = "both origins have the same URL"
            todo = "use two different URLs, because an origin cannot confirm itself"
            raise Problem(what, got=self.bucket, todo=todo)

    @property
    def readers(self) -> dict[str, Callable[[Release], Published]]:
        """Return by name of the origin the function that reads a release's checksums from it."""
        bucket = "gVisor's bucket" if self.bucket == BUCKET_URL else self.bucket
        github = "GitHub's release assets" if self.github == GITHUB_URL else self.github
        return {bucket: self.from_bucket, github: self.from_github}

    def from_bucket(self, release: Release) -> Published:
        """Return the checksums from the bucket, beside each file. Raises ``NoAnswer``."""
        found: Published = {}
        for arch in ARCHES:
            for file in FILES[layout_of(release)]:
                url = f"{self.bucket.rstrip('/')}/{release}/{arch}/{file}.sha512"
                found[arch, file] = _pick(fetch(url, timeout_s=self.timeout_s), file, url)
        return found

    def from_github(self, release: Release) -> Published:
        """Return the checksums from the release's assets on GitHub. Raises ``NoAnswer``."""
        url = f"{self.github.rstrip('/')}/release-{release}/SHA512SUMS"
        files = FILES[layout_of(release)]
        try:
            text = fetch(url, timeout_s=self.timeout_s)
            return {
                (arch, file): _pick(text, _asset(file, arch), url)
                for arch in ARCHES
                for file in files
            }
        except NoAnswer as error:
            if layout_of(release) == "archive":
                raise
            todo = (
                "set gvisor_sha512 in group data, because GitHub has no checksums of "
                f"{' and '.join(files)} for releases up to {LAST_LOOSE}"
            )
            raise NoAnswer(error.what, got=error.got, todo=todo) from None

    def releases(self) -> tuple[Release, ...]:
        """Return all releases with a tag, the newest first. Raises ``NoAnswer``."""
        text = fetch(self.tags, timeout_s=self.timeout_s)
        found = {Release(int(date), int(number)) for date, number in _TAG.findall(text)}
        if not found:
            got = text.strip()[:100]
            raise NoAnswer(f"{self.tags} names no release", got=got, todo=_BY_HAND)
        return tuple(sorted(found, reverse=True))


def fetch(url: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """
    Return the text at ``url``, through the proxy in the environment.

    Raises ``NoAnswer`` for a status other than 200, for more than 1 MiB, for an incomplete answer,
    after ``timeout_s`` seconds, and for a redirect to anything but https or the same loopback host.
    """
    request = Request(url, headers={"User-Agent": "pyinfra-gvisor"})  # noqa: S310 (_check_base)
    try:
        with build_opener(_Redirects).open(request, timeout=timeout_s) as response:
            if response.status != HTTP_OK:
                raise NoAnswer(f"{url} answers {response.status}", todo=_LOOK)
            return _body(response, url, monotonic() + timeout_s).decode("utf-8", "replace")
    except HTTPError as error:
        error.close()
        raise NoAnswer(f"{url} answers {error.code}", got=error.reason, todo=_LOOK) from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        got = str(reason) or type(reason).__name__
        raise NoAnswer(f"{url} cannot be read", got=got, todo=_REACH) from None


_LOOK = "check the release's name at https://github.com/google/gvisor/tags"
_REACH = "check the network and the proxy (https_proxy), or use a mirror (see --help)"
_BY_HAND = "open this URL and check its content"


class _Redirects(HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0913, PLR0917 (as urllib calls it)
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Refuse a redirect to an answer that anybody on the network could have changed."""
        to = urlsplit(newurl)
        stays = to.hostname == urlsplit(req.full_url).hostname and _is_loopback(to.hostname)
        if to.scheme != "https" and not (to.scheme == "http" and stays):
            what = f"{req.full_url} redirects to an address without https"
            raise NoAnswer(what, got=newurl, todo="use a mirror that does not redirect")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _body(response: HTTPResponse, url: str, deadline: float) -> bytes:
    found = b""
    while chunk := response.read1(CHUNK_BYTES):
        found += chunk
        if len(found) > LIMIT_BYTES:
            raise NoAnswer(f"{url} answers with more than {LIMIT_BYTES} bytes", todo=_LOOK)
        if monotonic() > deadline:  # a socket's own timeout restarts with every byte
            got = "an answer that did not end in time"
            raise NoAnswer(f"{url} cannot be read", got=got, todo=_REACH)
    if response.length:
        raise NoAnswer(f"{url} ends {response.length} bytes too early", todo="try again")
    return found


def _pick(text: str, file: str, url: str) -> str:
    """Return the sha512 of ``file`` from the lines of ``sha512sum``. Raises ``NoAnswer``."""
    lines = [line.split() for line in text.splitlines()]
    found = {words[0] for words in lines if words[1:] in ([file], [f"*{file}"])}
    if len(found) != 1:
        what = f"{url} has {'two checksums' if found else 'no checksum'} of {file}"
        raise NoAnswer(what, got=text.strip()[:100], todo=_BY_HAND)
    value = found.pop()
    if not re.fullmatch("[0-9a-f]{128}", value):
        what = f"the checksum of {file} at {url} does not have 128 hexadecimal digits"
        raise NoAnswer(what, got=f"{len(value)}: {value}", todo=_BY_HAND)
    return value


def _asset(file: str, arch: str) -> str:
    name, dot, rest = file.partition(".")
    return f"{name}-{arch}{dot}{rest}"


def _check_base(url: str) -> None:
    try:
        parts = urlsplit(url)
        plain = not (parts.query or parts.fragment or "@" in parts.netloc or parts.port == 0)
    except ValueError:  # a port that is not a number
        parts, plain = urlsplit(""), False
    safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    if not (plain and safe and parts.hostname and re.fullmatch(r"[!-~]+", url)):
        todo = "write https://host/path without user, ? and #; http only on loopback"
        got = url.rpartition("@")[2]  # without password
        raise Problem("not a valid base URL", got=got, todo=todo)


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
