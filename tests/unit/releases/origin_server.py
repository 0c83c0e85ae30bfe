"""A server on loopback that plays gVisor's bucket and GitHub's release assets."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import cast

import pytest

from tests.unit.releases.file_server import FileServer, Served

RELEASE = "20261005.0"
LOOSE = "20260817.0"
ARCHIVE = "gvisor.tar.bz2"
TAGS = "/tags"

Handler = Callable[[BaseHTTPRequestHandler], object]


class Origin(FileServer):
    """Both origins on one port; ``pages`` holds a text, a file or a handler by path."""

    def __init__(self) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bucket = f"{self.url}/bucket"
        self.github = f"{self.url}/github"
        self.pages: dict[str, str | Served | Handler] = {}
        self.asked: list[str] = []

    def find(self, path: str) -> Served | None:
        """A page that is a text or a file."""
        page = self.pages.get(path)
        return Served(page.encode()) if isinstance(page, str) else cast("Served | None", page)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Serve one request."""
        self.asked.append(handler.path)
        page = self.pages.get(handler.path)
        if callable(page):
            page(handler)
        else:
            super().answer(handler)

    @property
    def options(self) -> list[str]:
        """What makes the command ask here."""
        return ["--bucket", self.bucket, "--github", self.github]

    @property
    def online(self) -> list[str]:
        """The same for a check, which asks for the names of all releases, too."""
        return ["--online", *self.options, "--tags", f"{self.url}{TAGS}"]

    def tag(self, *releases: str) -> None:
        """Have these releases, as GitHub's API names them."""
        self.pages[TAGS] = json.dumps([{"ref": f"refs/tags/release-{name}"} for name in releases])

    def publish(self, release: str, sums: dict[str, dict[str, str]]) -> None:
        """Have both origins name these sums."""
        lines = []
        for arch, files in sums.items():
            for file, value in files.items():
                self.pages[bucket_path(release, arch, file)] = f"{value}  {file}\n"
                name, dot, rest = file.partition(".")
                lines.append(f"{value}  {name}-{arch}{dot}{rest}\n")
        self.pages[github_path(release)] = "".join(lines)


def bucket_path(release: str, arch: str, file: str = ARCHIVE) -> str:
    """Where the bucket has the sum of a file."""
    return f"/bucket/{release}/{arch}/{file}.sha512"


def github_path(release: str) -> str:
    """Where GitHub has all sums of a release."""
    return f"/github/release-{release}/SHA512SUMS"


def some_sums(release: str, *files: str) -> dict[str, dict[str, str]]:
    """Sums that nobody else has, by architecture and file."""
    return {
        arch: {
            file: hashlib.sha512(f"{release} {arch} {file}".encode()).hexdigest()
            for file in files or (ARCHIVE,)
        }
        for arch in ("x86_64", "aarch64")
    }


SUMS = some_sums(RELEASE)


@contextmanager
def serving() -> Iterator[Origin]:
    """The server, asked without a proxy, until the block is left; what stalls goes on then."""
    with Origin() as origin, pytest.MonkeyPatch.context() as environment:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            environment.delenv(name, raising=False)
        yield origin
