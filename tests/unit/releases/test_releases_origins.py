"""What an origin may answer, and what is taken for no answer: exit code 3, the lock untouched."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import monotonic

import pytest

from pyinfra_gvisor.releases.lockfile import PACKAGED
from pyinfra_gvisor.releases.origins import LIMIT_BYTES, Origins, fetch
from tests.table import table
from tests.unit.releases.conftest import Command
from tests.unit.releases.file_server import NOT_FOUND, Served
from tests.unit.releases.origin_server import (
    ARCHIVE,
    RELEASE,
    SUMS,
    Handler,
    Origin,
    bucket_path,
    github_path,
)

SUM = SUMS["x86_64"][ARCHIVE]
TWO_SUMS = f"{SUM}  {ARCHIVE}\n{SUM}  gvisor-x86_64.tar.bz2\n".encode()


@table(
    "page, message",
    status_404_xml=(Served(NOT_FOUND, 404), " answers 404, got Not Found"),
    status_403=(Served(b"no", 403), " answers 403, got Forbidden"),
    status_500=(Served(b"", 500), " answers 500"),
    status_206=(Served(f"{SUM}  {ARCHIVE}".encode(), 206), " answers 206"),
    html=(Served(b"<!DOCTYPE html><p>Log in", 200), "got <!DOCTYPE ht"),
    status_200_xml=(Served(NOT_FOUND, 200), "got <?xml"),
    empty=(Served(b"", 200), "has no checksum of "),
    binary=(Served(b"\xff\xfe\x00", 200), "has no checksum of "),
    no_name=(Served(SUM.encode(), 200), "has no checksum of "),
    oversized=(Served(b"a" * (LIMIT_BYTES + 1), 200), "more than 1048576"),
    cut_short=(Served(TWO_SUMS, announced=5000), "bytes too early"),
    hangs_up=(lambda request: request.connection.close(), "cannot be read, got "),
    not_http=(lambda request: request.wfile.write(b"SSH-2.0\r\n"), "cannot be read, got "),
)
@pytest.mark.parametrize("path", [bucket_path(RELEASE, "aarch64"), github_path(RELEASE)])
def test_what_is_no_answer_names_the_url_and_changes_nothing(
    add: Command, origin: Origin, lock: Path, *, page: Served | Handler, path: str, message: str
) -> None:
    origin.pages[path] = page

    code, _, err = add()

    assert code == 1
    assert f"pyinfra-gvisor: {origin.url}{path}" in err
    assert message in err
    assert lock.read_bytes() == PACKAGED.read_bytes()


@table(
    "text, message",
    truncated=(f"{SUM[:-1]}  {{}}\n", "not have 128 hexadecimal digits, got 127: "),
    too_long=(f"{SUM}0  {{}}\n", "got 129: "),
    a_sha256=(f"{SUM[:64]}  {{}}\n", "got 64: "),
    capitals=(f"{SUM.upper()}  {{}}\n", "got 128: "),
    another_file=(f"{SUM}  other.tar.bz2\n", "has no checksum of "),
    a_path=(f"{SUM}  x/{{}}\n", "has no checksum of "),
    twice=(f"{SUM}  {{}}\n{'0' * 128}  {{}}\n", "has two checksums of "),
)
@table(
    "path, file",
    bucket=(bucket_path(RELEASE, "x86_64"), ARCHIVE),
    github=(github_path(RELEASE), "gvisor-x86_64.tar.bz2"),
)
def test_a_sum_that_is_none_is_never_written(
    add: Command, origin: Origin, *, text: str, message: str, path: str, file: str
) -> None:
    origin.pages[path] = text.replace("{}", file)

    code, _, err = add("--dry-run")

    assert code == 1
    assert message in err
    assert file in err


def test_a_binary_mark_and_other_lines_do_no_harm(add: Command, origin: Origin) -> None:
    sums = "".join(f"{SUMS[a][ARCHIVE]} *gvisor-{a}.tar.bz2\n" for a in SUMS)
    origin.pages[github_path(RELEASE)] = f"# gVisor\n\n{'0' * 128}  gvisor.tar.zstd\n{sums}"

    assert add("--dry-run").code == 0


def _says_nothing(origin: Origin) -> Handler:
    def handle(request: BaseHTTPRequestHandler) -> None:
        origin.over.wait(10)
        request.close_connection = True

    return handle


def _drips(origin: Origin) -> Handler:
    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not origin.over.wait(0.05):
            request.wfile.write(b"a")

    return handle


@table("stalling", silent=_says_nothing, drips=_drips)
def test_an_origin_that_stalls_is_given_up(
    add: Command, origin: Origin, stalling: Callable[[Origin], Handler]
) -> None:
    origin.pages[bucket_path(RELEASE, "x86_64")] = stalling(origin)
    began = monotonic()

    code, _, err = add("--dry-run", timeout_s=0.3)

    assert code == 1
    assert monotonic() - began < 3
    assert "cannot be read, got " in err


@table(
    "target, message",
    another_host=("http://localhost:1/sums", "redirects to an address without"),
    plain_http=("http://example.com/sums", "redirects to an address without"),
    ftp=("ftp://127.0.0.1/sums", "redirects to an address without"),
    file=("file:///etc/hostname", "answers 302"),
)
def test_a_redirect_to_what_is_not_https_is_not_followed(
    add: Command, origin: Origin, target: str, message: str
) -> None:
    origin.pages[bucket_path(RELEASE, "x86_64")] = Served(b"", 302, location=target)

    code, _, err = add("--dry-run")

    assert code == 1
    assert f"{bucket_path(RELEASE, 'x86_64')} {message}" in err


def test_a_redirect_on_the_same_loopback_host_is_followed(add: Command, origin: Origin) -> None:
    origin.pages["/moved"] = origin.pages[github_path(RELEASE)]
    origin.pages[github_path(RELEASE)] = Served(b"", 302, location=f"{origin.url}/moved")

    assert (add("--dry-run").code, origin.asked[-1]) == (0, "/moved")


def test_the_environments_proxy_is_asked_and_the_official_origins_have_names(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", origin.url)
    monkeypatch.setenv("no_proxy", "")
    origin.pages["/sums"] = "through the proxy"

    assert fetch("http://127.0.0.2:9/sums") == "through the proxy"
    assert list(Origins().readers) == ["gVisor's bucket", "GitHub's release assets"]
