"""What an origin may answer, and what is taken for no answer: exit code 3, the lock untouched."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import monotonic

import pytest

from pyinfra_gvisor.releases.lockfile import PACKAGED
from pyinfra_gvisor.releases.origins import LIMIT_BYTES, Origins, fetch
from tests.table import table
from tests.unit.command.commands import releases as main
from tests.unit.releases.file_server import NOT_FOUND
from tests.unit.releases.origin_server import (
    ARCHIVE,
    RELEASE,
    Handler,
    Origin,
    answer,
    bucket_path,
    github_path,
    serving,
    some_sums,
)

SUMS = some_sums(RELEASE)
SUM = SUMS["x86_64"][ARCHIVE]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as found:
        found.publish(RELEASE, SUMS)
        yield found


def _answers(status: int, body: bytes, **headers: str) -> Handler:
    return lambda request: answer(request, status, body, **headers)


def _hangs_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.close()


def _ends_early(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "5000")
    request.end_headers()
    request.wfile.write(f"{SUM}  {ARCHIVE}\n{SUM}  gvisor-x86_64.tar.bz2\n".encode())


def _not_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


@table(
    "page, message",
    {
        "404-xml": (_answers(404, NOT_FOUND), " answers 404, got Not Found"),
        "403": (_answers(403, b"no"), " answers 403, got Forbidden"),
        "500": (_answers(500, b""), " answers 500"),
        "206": (_answers(206, f"{SUM}  {ARCHIVE}".encode()), " answers 206"),
        "html": (_answers(200, b"<!DOCTYPE html><p>Log in"), "got <!DOCTYPE ht"),
        "200-xml": (_answers(200, NOT_FOUND), "got <?xml"),
        "empty": (_answers(200, b""), "has no checksum of "),
        "binary": (_answers(200, b"\xff\xfe\x00"), "has no checksum of "),
        "no-name": (_answers(200, SUM.encode()), "has no checksum of "),
        "oversized": (_answers(200, b"a" * (LIMIT_BYTES + 1)), "more than 1048576"),
        "cut-short": (_ends_early, "bytes too early"),
        "hangs-up": (_hangs_up, "cannot be read, got "),
        "not-http": (_not_http, "cannot be read, got "),
    },
)
@pytest.mark.parametrize("path", [bucket_path(RELEASE, "aarch64"), github_path(RELEASE)])
def test_what_is_no_answer_names_the_url_and_changes_nothing(
    origin: Origin,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    page: Handler,
    path: str,
    message: str,
) -> None:
    lock = Path(shutil.copy(PACKAGED, tmp_path))
    origin.pages[path] = page

    code = main(["add", RELEASE, "--lock", str(lock), *origin.options], timeout_s=5)

    err = capsys.readouterr().err
    assert code == 1
    assert f"pyinfra-gvisor: {origin.url}{path}" in err
    assert message in err
    assert lock.read_bytes() == PACKAGED.read_bytes()


@table(
    "text, message",
    {
        "truncated": (f"{SUM[:-1]}  {{}}\n", "not have 128 hexadecimal digits, got 127: "),
        "too-long": (f"{SUM}0  {{}}\n", "got 129: "),
        "a-sha256": (f"{SUM[:64]}  {{}}\n", "got 64: "),
        "capitals": (f"{SUM.upper()}  {{}}\n", "got 128: "),
        "another-file": (f"{SUM}  other.tar.bz2\n", "has no checksum of "),
        "a-path": (f"{SUM}  x/{{}}\n", "has no checksum of "),
        "twice": (f"{SUM}  {{}}\n{'0' * 128}  {{}}\n", "has two checksums of "),
    },
)
@table(
    "path, file",
    {
        "bucket": (bucket_path(RELEASE, "x86_64"), ARCHIVE),
        "github": (github_path(RELEASE), "gvisor-x86_64.tar.bz2"),
    },
)
def test_a_sum_that_is_none_is_never_written(
    origin: Origin,
    capsys: pytest.CaptureFixture[str],
    *,
    text: str,
    message: str,
    path: str,
    file: str,
) -> None:
    origin.pages[path] = text.replace("{}", file)

    code = main(["add", RELEASE, "--dry-run", *origin.options], timeout_s=5)

    err = capsys.readouterr().err
    assert code == 1
    assert message in err
    assert file in err


def test_a_binary_mark_and_other_lines_do_no_harm(origin: Origin) -> None:
    sums = "".join(f"{SUMS[a][ARCHIVE]} *gvisor-{a}.tar.bz2\n" for a in SUMS)
    origin.pages[github_path(RELEASE)] = f"# gVisor\n\n{'0' * 128}  gvisor.tar.zstd\n{sums}"

    code = main(["add", RELEASE, "--dry-run", *origin.options])

    assert code == 0


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


@table("stalling", {"silent": _says_nothing, "drips": _drips})
def test_an_origin_that_stalls_is_given_up(
    origin: Origin,
    capsys: pytest.CaptureFixture[str],
    stalling: Callable[[Origin], Handler],
) -> None:
    origin.pages[bucket_path(RELEASE, "x86_64")] = stalling(origin)
    began = monotonic()

    code = main(["add", RELEASE, "--dry-run", *origin.options], timeout_s=0.3)

    assert code == 1
    assert monotonic() - began < 3
    assert "cannot be read, got " in capsys.readouterr().err


@table(
    "target, message",
    {
        "another-host": ("http://localhost:1/sums", "redirects to an address without"),
        "plain-http": ("http://example.com/sums", "redirects to an address without"),
        "ftp": ("ftp://127.0.0.1/sums", "redirects to an address without"),
        "file": ("file:///etc/hostname", "answers 302"),
    },
)
def test_a_redirect_to_what_is_not_https_is_not_followed(
    origin: Origin, capsys: pytest.CaptureFixture[str], target: str, message: str
) -> None:
    origin.pages[bucket_path(RELEASE, "x86_64")] = _answers(302, b"", Location=target)

    code = main(["add", RELEASE, "--dry-run", *origin.options], timeout_s=5)

    assert code == 1
    assert f"{bucket_path(RELEASE, 'x86_64')} {message}" in capsys.readouterr().err


def test_a_redirect_on_the_same_loopback_host_is_followed(origin: Origin) -> None:
    origin.pages["/moved"] = origin.pages[github_path(RELEASE)]
    origin.pages[github_path(RELEASE)] = _answers(302, b"", Location=f"{origin.url}/moved")

    code = main(["add", RELEASE, "--dry-run", *origin.options])

    assert code == 0
    assert origin.asked[-1] == "/moved"


def test_the_proxy_of_the_environment_is_asked(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", origin.url)
    monkeypatch.setenv("no_proxy", "")
    origin.pages["/sums"] = "through the proxy"

    text = fetch("http://127.0.0.2:9/sums")

    assert text == "through the proxy"


def test_the_official_origins_are_called_by_their_names() -> None:
    assert list(Origins().readers) == ["gVisor's bucket", "GitHub's release assets"]
