"""The commands about releases, and what an origin may answer, with a server that plays both."""

import json
import os
import resource
import socket
import stat
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import monotonic

import pytest

from pyinfra_gvisor.releases.known import known
from pyinfra_gvisor.releases.lockfile import PACKAGED, read_lock
from pyinfra_gvisor.releases.origins import LIMIT_BYTES, Origins, fetch
from pyinfra_gvisor.report.document import RuntimeReport, fleet_report
from pyinfra_gvisor.report.files import write_fleet
from pyinfra_gvisor.settings import load_settings
from tests.table import table
from tests.unit.releases.conftest import Command
from tests.unit.releases.file_server import NOT_FOUND, Served
from tests.unit.releases.origin_server import (
    ARCHIVE,
    LOOSE,
    RELEASE,
    SUMS,
    Handler,
    Origin,
    bucket_path,
    github_path,
    some_sums,
)
from tests.unit.report.reports import AT, host, unknown

LOOSE_FILES = ("runsc", "containerd-shim-runsc-v1")


@table(
    "argv, message",
    no_number=(["add", "20261005"], "not a gVisor release, got 20261005"),
    a_word=(["add", "latest"], "not a gVisor release, got latest"),
    http=(["add", RELEASE, "--bucket", "http://a.b"], "not a valid base URL"),
    file=(["add", RELEASE, "--github", "file:///etc"], "not a valid base URL"),
    port=(["check", "--bucket", "https://a:0x/"], "not a valid base URL"),
    with_credentials=(["check", "--bucket", "https://u:pw@h/"], "got h/;"),
    one_origin=(
        ["add", RELEASE, "--bucket", "https://m/a", "--github", "https://m/a/"],
        "both origins have the same URL, got https://m/a;",
    ),
    no_lock=(["list", "--lock", "/no/where"], "No such file"),
)
def test_a_wrong_command_line_is_told_without_asking_anybody(
    command: Command, argv: list[str], message: str
) -> None:
    code, _, err = command(*argv)

    assert code == 1
    assert message in err
    assert "pw" not in err


@pytest.mark.parametrize("argv", [[], ["add"], ["lsit"], ["add", RELEASE, "--dry"]], ids=str)
def test_what_is_no_command_ends_with_the_same_code(command: Command, argv: list[str]) -> None:
    assert command(*argv).code == 1


def publish_lock(origin: Origin, lock: Path, *newer: str) -> list[str]:
    """Have both origins name what the lock has, and tags of these and ``newer`` releases."""
    releases = read_lock(lock).releases
    for name, entry in releases.items():
        origin.publish(name, {str(arch): sums for arch, sums in entry.sha512.items()})
    origin.tag(*releases, *newer)
    return [*releases]


def test_check_online_compares_every_entry_with_both_origins_and_names_newer_releases(
    command: Command, origin: Origin, lock: Path
) -> None:
    releases = publish_lock(origin, lock)
    out = command("check", "--lock", str(lock), *origin.online).out
    asked = len(origin.asked)
    publish_lock(origin, lock, *(f"2099010{day}.0" for day in range(1, 8)))
    later = command("check", "--lock", str(lock), *origin.online)

    assert out.count("has the same checksums") == 2 * len(releases)
    assert asked == 3 * len(releases) + 1
    assert out.splitlines()[-1] == "newer releases in gVisor's tags: none"
    named = ", ".join(f"2099010{day}.0" for day in range(7, 2, -1))
    said = f"newer releases in gVisor's tags: {named}, and 2 more"
    assert (later.code, later.out.splitlines()[-1]) == (2, said)


def test_check_names_newer_known_releases_without_network(command: Command, lock: Path) -> None:
    document = json.loads(lock.read_text())
    document["releases"].pop(document["default"])
    document["default"] = next(iter(document["releases"]))
    lock.write_text(json.dumps(document))

    code, out, _ = command("check", "--lock", str(lock))

    named = f"newer releases in known.json of {known().as_of}: {known().gvisor_releases[0]}"
    assert code == 2
    assert out.splitlines()[1].startswith(named)


def test_check_ends_with_0_only_if_the_lock_has_the_newest_release(
    command: Command, lock: Path
) -> None:
    document = json.loads(lock.read_text())
    newest = known().gvisor_releases[0]
    entry = document["releases"].pop(document["default"])
    document |= {"default": newest, "releases": {newest: entry, **document["releases"]}}
    lock.write_text(json.dumps(document))

    code, out, _ = command("check", "--lock", str(lock))
    assert (code, out.splitlines()[1].rpartition(": ")[2]) == (0, "none")


def test_check_online_puts_a_disagreement_before_a_silent_origin_which_is_named(
    command: Command, origin: Origin, lock: Path
) -> None:
    origin.publish("20260831.0", some_sums("another"))

    code, _, err = command("check", "--lock", str(lock), *origin.online)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{unused.getsockname()[1]}"
        places = ("--bucket", f"{gone}/a", "--github", f"{gone}/b", "--tags", f"{gone}/c")
        silent = command("check", "--online", "--lock", str(lock), *places)

    assert (code, err.count("have different checksums"), err.count("answers 404")) == (1, 4, 2)
    assert "/tags" not in origin.asked
    assert (silent.code, silent.err.count("Connection refused")) == (1, 4)


def test_the_list_fits_a_terminal_and_names_what_to_know_as_json_too(
    command: Command, add: Command, origin: Origin, lock: Path
) -> None:
    origin.publish("20240729.999", some_sums("20240729.999", *LOOSE_FILES))
    add(release="20240729.999")

    code, out, _ = command("list", "--lock", str(lock))
    as_json = command("list", "--json")

    lines, rows = out.splitlines(), {row["release"]: row for row in json.loads(as_json.out)}
    assert (code, as_json.code) == (0, 0)
    assert max(map(len, lines)) <= 100
    assert lines[1].startswith("20260928.0    default  archive  x86_64 aarch64  none known")
    assert next(line for line in lines if "20240729.999" in line).split()[1] == "loose"
    assert "CVE-2025-2713" in out
    assert "CVE-2026-96812" in out
    assert [name for name, row in rows.items() if row["default"]] == ["20260928.0"]
    assert rows["20260831.0"]["corroborated"]["aarch64"] == "one public repository"
    assert rows["20260831.0"]["escapes"] == []


def written(lock: Path) -> tuple[int, int, int]:
    """What changes if the file is written; not when it was read."""
    found = lock.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def test_a_release_that_both_origins_name_alike_is_written_newest_first_and_alone(
    add: Command, origin: Origin, lock: Path
) -> None:
    before, old = read_lock(lock), lock.read_text().splitlines()
    lock.chmod(0o640)

    code, out, _ = add()

    after, new = read_lock(lock), lock.read_text().splitlines()
    assert (code, list(after.releases)) == (0, [RELEASE, *before.releases])
    assert (after.default, after.releases[RELEASE].sha512) == (before.default, SUMS)
    for place in after.releases[RELEASE].corroborated.values():
        assert place.startswith(f"{origin.bucket} and {origin.github}, ")
        assert f"{datetime.now(UTC).date()} (UTC)" in place
    assert f"written: {lock}" in out
    assert stat.S_IMODE(lock.stat().st_mode) == 0o640
    assert [path.name for path in lock.parent.iterdir()] == ["lock.json"]
    assert (new[3 + len(new) - len(old) :], new[:3]) == (old[3:], old[:3])


def test_the_line_for_group_data_is_what_the_settings_take(add: Command) -> None:
    pinned = json.loads(add().out.partition("gvisor_sha512 = ")[2].splitlines()[0])
    settings, problems = load_settings({"gvisor_release": RELEASE, "gvisor_sha512": pinned})
    assert problems == {}
    assert settings
    assert pinned == {arch: sums[ARCHIVE] for arch, sums in SUMS.items()}


def test_a_dry_run_says_the_same_and_writes_nothing_nor_does_a_second_run(
    add: Command, lock: Path
) -> None:
    before = written(lock)
    dry = add("--dry-run")
    untouched = written(lock)
    add()
    there = written(lock)
    again = add()

    assert (dry.code, untouched) == (0, before)
    assert SUMS["aarch64"][ARCHIVE] in dry.out
    assert dry.out.endswith(f"dry run: {lock} was not written\n")
    assert (again.code, written(lock)) == (0, there)
    assert "with the checksums of both origins" in again.out


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_origins_that_disagree_on_one_architecture_or_on_what_is_known_write_nothing(
    add: Command, origin: Origin, lock: Path, arch: str
) -> None:
    before = lock.read_bytes()
    origin.pages[bucket_path(RELEASE, arch)] = f"{'0' * 128}  {ARCHIVE}\n"

    code, _, err = add()
    origin.publish("20260928.0", some_sums("another"))
    known = add(release="20260928.0")

    assert (code, known.code, lock.read_bytes()) == (1, 1, before)
    said = "have different checksums; nothing was changed. Do not use this file"
    assert known.err.count(said) == 4
    assert f"pyinfra-gvisor: {RELEASE} {arch} {ARCHIVE}: " in err
    assert err.count("have different checksums") == 1
    assert "0" * 128 in err
    assert SUMS[arch][ARCHIVE] in err


def test_loose_files_need_github_or_the_way_out_is_said_and_are_added_with_a_warning(
    add: Command, origin: Origin, lock: Path
) -> None:
    sums = some_sums(LOOSE, *LOOSE_FILES)
    origin.publish(LOOSE, sums)
    named = origin.pages[github_path(LOOSE)]
    origin.pages[github_path(LOOSE)] = f"{'a' * 128}  gvisor-x86_64.tar.bz2\n"
    refused = add(release=LOOSE)
    origin.pages[github_path(LOOSE)] = named
    code, out, err = add(release=LOOSE)

    assert refused.code == 1
    assert "has no checksum of runsc-x86_64" in refused.err
    said = "set gvisor_sha512 in group data, because GitHub has no checksums of runsc and"
    assert said in refused.err
    assert "for releases up to 20260817.0" in refused.err
    entry = read_lock(lock).releases[LOOSE]
    assert (code, entry.layout, entry.sha512) == (0, "loose", sums)
    assert "open to CVE-2026-96812; nodes refuse it without gvisor_accept_risk" in err
    assert json.loads(out.partition("gvisor_sha512 = ")[2].splitlines()[0]) == sums


def test_a_lock_that_cannot_be_written_leaves_the_line_for_group_data(add: Command) -> None:
    with tempfile.TemporaryDirectory() as name:
        lock = Path(name) / "lock.json"
        lock.write_bytes(PACKAGED.read_bytes())
        lock.chmod(0o444)
        Path(name).chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # root may write anywhere
        try:
            code, out, err = add(to=lock)
        finally:
            if root:
                os.seteuid(0)
            Path(name).chmod(0o700)

        assert (code, lock.read_bytes()) == (1, PACKAGED.read_bytes()), err
    assert "gvisor_sha512 = {" in out, err
    assert "written" not in out
    assert f"pyinfra-gvisor: {lock}: cannot be written: Permission denied; nothing" in err
    assert "group data" in err


def test_an_interrupted_write_leaves_nothing_but_the_old_lock(add: Command, lock: Path) -> None:
    before = lock.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))  # bytes that a file may grow to

    try:
        code, _, err = add()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert code == 1
    assert "cannot be written: File too large" in err
    assert lock.read_bytes() == before
    assert [path.name for path in lock.parent.iterdir()] == ["lock.json"]


def test_a_symlink_to_the_lock_stays_one(add: Command, lock: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(lock)

    code, *_ = add(to=link)

    assert code == 0
    assert link.is_symlink()
    assert RELEASE in read_lock(lock).releases


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


def test_a_binary_mark_other_lines_and_a_redirect_on_the_same_loopback_host_do_no_harm(
    add: Command, origin: Origin
) -> None:
    sums = "".join(f"{SUMS[a][ARCHIVE]} *gvisor-{a}.tar.bz2\n" for a in SUMS)
    origin.pages["/moved"] = f"# gVisor\n\n{'0' * 128}  gvisor.tar.zstd\n{sums}"
    origin.pages[github_path(RELEASE)] = Served(b"", 302, location=f"{origin.url}/moved")

    assert (add("--dry-run").code, origin.asked[-1]) == (0, "/moved")


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


def test_the_environments_proxy_is_asked_and_the_official_origins_have_names(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", origin.url)
    monkeypatch.setenv("no_proxy", "")
    origin.pages["/sums"] = "through the proxy"

    assert fetch("http://127.0.0.2:9/sums") == "through the proxy"
    assert list(Origins().readers) == ["gVisor's bucket", "GitHub's release assets"]


OLD, NEW = "20240729.0", "20260928.0"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """What an audit wrote of two hosts on an old release, and of one on today's."""
    for_hosts = {"a": OLD, "b": OLD, "c": NEW}
    hosts = []
    for name, release in for_hosts.items():
        report = host(name)
        runtime = RuntimeReport(name="runsc", path="/opt/x", release=release)
        about = report.node and report.node.model_copy(update={"runtimes": (runtime,)})
        hosts.append(report.model_copy(update={"node": about}))
    write_fleet(tmp_path / "reports", fleet_report([*hosts, unknown("d")], at=AT, by="audit"))
    return tmp_path / "reports"


def test_it_says_what_a_newer_release_fixes_in_the_fleet(command: Command, reports: Path) -> None:
    ended = command("watch", "--reports", str(reports))

    assert ended.code == 2
    old, *escapes, new, todo, unlocked = ended.out.splitlines()
    assert old.startswith(f"{OLD} on 2 hosts (a, b): ")
    assert [line.split(":")[0] for line in escapes] == ["  critical"] * len(escapes)
    assert any("CVE-2026-96812 (fixed in 20260831.0)" in line for line in escapes)
    assert new.startswith(f"{NEW} on 1 host (c): ")
    assert todo == f"next: pyinfra-gvisor rollout --release {NEW}"
    assert unlocked.startswith("not locked yet: pyinfra-gvisor releases add 2")


def test_a_fleet_without_a_known_escape_ends_well(command: Command, reports: Path) -> None:
    path = reports / "fleet.json"
    path.write_text(path.read_text().replace(f'"release": "{OLD}"', f'"release": "{NEW}"'))

    ended = command("watch", "--reports", str(reports))

    assert ended.code == 0
    assert "next:" not in ended.out


def test_without_a_report_it_says_how_to_get_one(command: Command, tmp_path: Path) -> None:
    ended = command("watch", "--reports", str(tmp_path))

    assert ended.code == 1
    assert "no report of a fleet; set gvisor_report_dir" in ended.err
