"""A release comes onto a node whole and checked, or nothing changes: ``releases/install.sh``."""

import hashlib
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.judge.files import judge_files
from pyinfra_gvisor.releases.sources import shown_url
from tests.table import table
from tests.unit.programs import program
from tests.unit.releases.file_server import NOT_FOUND, FileServer, Served
from tests.unit.releases.release_script import MEMBERS, PATH, RELEASE, RUNSC, Machine, archive
from tests.unit.shells import run, stub

OUT = Path("/tmp/pyinfra-gvisor-out")
SHIM = "containerd-shim-runsc-v1"
SENTRY = "gvisor-bin/gvisor_sentry"
NO_SIDECARS = {"runsc": RUNSC, SHIM: b"x"}
NEITHER = "contains something that is neither a file nor a directory"


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server on loopback."""
    with FileServer() as running:
        yield running


@pytest.fixture(params=["curl", "wget"])
def machine(tmp_path: Path, server: FileServer, request: pytest.FixtureRequest) -> Machine:
    """A node that has one of the two programs."""
    return Machine(tmp_path, server, request.param)


@pytest.fixture
def node(tmp_path: Path, server: FileServer) -> Machine:
    """A node."""
    return Machine(tmp_path, server)


def test_a_node_is_asked_whether_it_can_fetch_each_file_and_fetches_none(machine: Machine) -> None:
    machine.server.files[PATH] = Served(bytes(3_000_000))

    machine.server.files["/none.tar.bz2"] = Served(bytes(5000), status=404)
    there, both = machine.ask(PATH), machine.ask(PATH, "/none.tar.bz2")

    assert there == ["end of source"]
    assert both[0].startswith(f"no {shown_url(machine.url('/none.tar.bz2'))} ")
    assert re.search("404|does not exist", both[0])
    assert "secret" not in both[0]
    assert both[1:] == ["end of source"]
    machine.server.server_close()
    assert "no http" in machine.ask(PATH)[0]


def test_a_release_is_installed_written_down_and_fetched_once(machine: Machine) -> None:
    said = machine.fetch()

    assert said == f"{RELEASE} is installed in {machine.home}\n"
    assert machine.is_whole()
    manifest = machine.manifest()
    assert (manifest["release"], manifest["source"]) == (RELEASE, f"http://m{PATH}")
    assert manifest["sha512"] == {"gvisor.tar.bz2": hashlib.sha512(archive()).hexdigest()}
    assert manifest["members"] == {
        name: hashlib.sha256(content).hexdigest() for name, content in MEMBERS.items()
    }
    assert machine.fetch() == f"{RELEASE} is already installed\n"
    assert len(machine.server.requests) == 1


@table("ranges", range=True, none=False)
def test_a_download_that_breaks_off_goes_on_from_there(machine: Machine, ranges: bool) -> None:
    body = archive()
    half = len(body) // 2

    machine.fetch(Served(body, ranges=ranges, dies=[half]))

    assert machine.is_whole()
    first, second = machine.server.requests
    assert (first.range, second.range) == (None, f"bytes={half}-")
    assert second.sent_bytes == (len(body) - half if ranges else len(body))


@table(
    "served, given, message",
    status_403=(Served(b"x", 403), {}, f"cannot fetch http://m{PATH}: answers HTTP 403; check the"),
    status_404=(Served(NOT_FOUND, 404), {}, "answers HTTP 404; check the release"),
    status_503=(Served(b"x", 503), {}, "answers HTTP 503, after 3 attempts"),
    dies=(Served(archive(), dies_always=100), {}, "300 of "),
    says_nothing=(Served(archive(), stalls_at=0), {"timeout_s": "1"}, "after 3 attempts"),
    too_large=(Served(archive(), announced=2_000_000_000), {}, "is larger than 1024 MiB"),
    without_end=(Served(bytes(9_000_000)), {"max_bytes": str(1 << 20)}, "than 1 MiB"),
    shorter_than_announced=(
        Served(archive(), announced=len(archive()) + 9),
        {},
        f" of {len(archive()) + 9} bytes, after 3 attempts",
    ),
    no_archive=(Served(b"no archive"), {}, "cannot be unpacked: "),
    no_archive_and_another_sum=(
        Served(b"no archive"),
        {"pin": "a" * 128},
        f", expected {'a' * 128}; check the mirror in gvisor_source",
    ),
    another_sum=(
        Served(archive()),
        {"pin": "a" * 128},
        f", expected {'a' * 128}; check the mirror in gvisor_source",
    ),
)
def test_what_does_not_arrive_whole_is_never_unpacked(
    machine: Machine, served: Served, given: dict[str, str], message: str
) -> None:
    said = machine.fetch(served, **given)

    assert said.startswith(f"gvisor.release: {RELEASE} on node-1: ")
    assert message in said
    assert said.endswith("; nothing was changed\n")
    assert not machine.releases.exists()


@table("quote, name", quoted=('"', "http_proxy"), exported=("", "export HTTP_PROXY"))
def test_the_nodes_own_proxy_is_used_where_the_environment_names_none(
    machine: Machine, quote: str, name: str
) -> None:
    proxy = f"http://127.0.0.1:{machine.server.server_port}"
    (machine.root / "environment").write_text(f"LANG=C\n{name}={quote}{proxy}{quote}\n")
    machine.server.files[PATH] = Served(archive())
    pin = hashlib.sha512(archive()).hexdigest()

    ran = machine.install("gvisor.tar.bz2", pin, f"http://nowhere.invalid{PATH}", "x")

    assert ran.returncode == 0, ran.stderr
    assert [request.proxied for request in machine.server.requests] == [True]


def test_what_no_proxy_names_is_fetched_directly_and_what_killed_runs_left_goes(
    machine: Machine,
) -> None:
    proxies = "http_proxy=http://127.0.0.1:1\nno_proxy=localhost,127.0.0.1\n"
    (machine.root / "environment").write_text(proxies)
    (machine.releases / ".staging-20250101.0" / "tree").mkdir(parents=True)

    machine.fetch()

    assert machine.is_whole()


def with_file(name: str, content: bytes = b"x") -> bytes:
    """An archive with another file, or with another content of one."""
    return archive({**MEMBERS, name: content})


def with_link(target: str, kind: bytes) -> bytes:
    """An archive with something that is neither a file nor a directory."""
    member = tarfile.TarInfo("gvisor-bin/x")
    member.type, member.linkname = kind, target
    return archive(MEMBERS, member)


@table(
    "body, message",
    dots=(with_file("../../out"), "contains a path that leaves its directory: ../../out"),
    absolute=(with_file(str(OUT)), f"contains a path that leaves its directory: {OUT}"),
    symlink=(with_link("../../../out", tarfile.SYMTYPE), f"{NEITHER}: l"),
    hard_link=(with_link("runsc", tarfile.LNKTYPE), f"{NEITHER}: h"),
    fifo=(with_link("", tarfile.FIFOTYPE), f"{NEITHER}: p"),
    quote=(with_file('x"y'), 'a file name with characters that are not allowed: x"y'),
    truncated=(archive()[:-60], "cannot be unpacked: "),
    no_runsc=(archive({"README": b"x"}), "does not contain runsc, got README;"),
    no_shim=(archive({"runsc": RUNSC}), f"does not contain {SHIM}, got runsc;"),
    no_sidecars=(archive(NO_SIDECARS), f"does not contain {SENTRY}, got {SHIM} runsc;"),
    other_machine=(
        with_file("runsc", program("x", "aarch64")),
        "is built for aarch64, this node is x86_64",
    ),
    script=(with_file("runsc", b"#!/bin/sh\n"), "is not an ELF program, this"),
    other_release=(
        with_file("runsc", program("runsc version release-20200101.0\n")),
        'calls itself "runsc version release-20200101.0"',
    ),
)
def test_an_archive_that_is_not_right_leaves_nothing(
    tmp_path: Path, server: FileServer, body: bytes, message: str
) -> None:
    machine = Machine(tmp_path / "in", server)
    machine.root.mkdir()

    said = machine.fetch(body)

    assert message in said
    assert said.endswith("; nothing was changed\n")
    assert not machine.releases.exists()
    assert not OUT.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_loose_files_become_executable(node: Machine) -> None:
    words = []
    for name in ("runsc", "containerd-shim-runsc-v1"):
        node.server.files[f"/{name}"] = Served(MEMBERS[name])
        pin = hashlib.sha512(MEMBERS[name]).hexdigest()
        words += [name, pin, f"http://127.0.0.1:{node.server.server_port}/{name}", name]

    ran = node.install(*words, sidecars="no")

    assert ran.returncode == 0, ran.stderr
    assert {path.name: path.stat().st_mode & 0o777 for path in node.home.iterdir()} == {
        "runsc": 0o755,
        "containerd-shim-runsc-v1": 0o755,
        "manifest.json": 0o644,
    }
    assert list(node.manifest()["sha512"]) == ["runsc", "containerd-shim-runsc-v1"]  # type: ignore[call-overload]


@table(
    "pin, message",
    installed=(hashlib.sha512(archive()).hexdigest(), " is installed in "),
    another_sum=("b" * 128, f", expected {'b' * 128}; "),
)
def test_an_uploaded_archive_is_gone_afterwards(node: Machine, pin: str, message: str) -> None:
    upload = node.root / "upload"
    upload.write_bytes(archive())

    ran = node.install("gvisor.tar.bz2", pin, str(upload), "/srv/x.tar.bz2", source="file")

    assert message in ran.stdout + ran.stderr
    assert not upload.exists()
    assert (node.releases.exists() and node.is_whole()) is (ran.returncode == 0)


def test_a_node_without_bzip2_is_told_so_before_the_download(installed: Machine) -> None:
    shutil.rmtree(installed.releases)
    (installed.root / "bin" / "bzip2").unlink()

    said = installed.fetch()

    assert "bzip2 is not installed, but is needed to unpack" in said
    assert not installed.server.requests


@pytest.fixture
def installed(node: Machine) -> Machine:
    """A node that has the release."""
    node.fetch()
    node.server.requests.clear()
    return node


DAMAGE = {
    "truncated": "truncate -s 100 runsc",
    "deleted": "rm gvisor-bin/gvisor_sentry",
    "added": "mkdir 'gvisor-bin/odd\nname' && touch 'gvisor-bin/odd\nname/x'",
    "member-is-a-link": "ln -sf /bin/sh containerd-shim-runsc-v1",
    "directory-is-a-link": "rm -r gvisor-bin && ln -s /usr/bin gvisor-bin",
    "member-is-a-directory": "rm runsc && mkdir runsc && touch runsc/x",
    "no-manifest": "rm manifest.json",
    "garbled-manifest": "echo { > manifest.json",
    "manifest-is-a-directory": "rm manifest.json && mkdir manifest.json && touch manifest.json/x",
}


def damage(home: Path, kind: str) -> None:
    """Damage a release."""
    subprocess.run(["sh", "-c", DAMAGE[kind]], cwd=home, check=True)


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_damaged_is_fetched_again_and_repaired(installed: Machine, kind: str) -> None:
    damage(installed.home, kind)
    shim = installed.home / "gvisor-bin/gvisor_sentry"
    before = shim.stat().st_ino if kind == "truncated" else None

    said = installed.fetch()

    assert said == f"{RELEASE} is installed in {installed.home}\n"
    assert installed.is_whole()
    assert before in (None, shim.stat().st_ino)
    assert installed.fetch() == f"{RELEASE} is already installed\n"


@table("mode", not_executable=0o644, setuid=0o4755)
def test_other_modes_and_times_are_mended_without_a_download(installed: Machine, mode: int) -> None:
    (installed.home / "runsc").chmod(mode)
    (installed.home / "gvisor-bin").chmod(0o700)
    (installed.home / "gvisor-bin/gvisor_sentry").touch()

    said = installed.fetch()

    assert said == f"{RELEASE}: its files are verified and its permissions repaired\n"
    assert installed.is_whole()
    assert (installed.home / "runsc").stat().st_mode & 0o7777 == 0o755
    assert (installed.home / "gvisor-bin").stat().st_mode & 0o7777 == 0o755
    assert not installed.server.requests


def test_damage_and_an_unpinned_release_stay_as_they_are_if_nothing_right_comes(
    installed: Machine,
) -> None:
    manifest = installed.manifest()

    unpinned = installed.fetch(pin="0" * 128, fresh="yes")
    assert "nothing was changed" in unpinned
    assert installed.is_whole()
    assert installed.manifest() == manifest

    damage(installed.home, "truncated")
    said = installed.fetch(Served(archive(), dies_always=10))
    assert "after 3 attempts; nothing was changed" in said
    assert (installed.home / "runsc").read_bytes() == RUNSC[:100]
    assert (installed.home / "gvisor-bin/gvisor_sentry").exists()
    assert installed.is_clean()


@pytest.mark.parametrize("kind", ["truncated", "no-manifest"])
def test_whether_files_are_needed_at_all_can_be_asked_first(installed: Machine, kind: str) -> None:
    (installed.home / "runsc").chmod(0o600)

    assert installed.install(source="none").returncode == 0

    damage(installed.home, kind)
    assert installed.install(source="none").returncode == 3


def test_an_unpinned_release_is_replaced_though_it_is_as_installed(installed: Machine) -> None:
    before = {path: path.stat().st_ino for path in installed.home.rglob("*") if path.is_file()}
    other = archive({**MEMBERS, "containerd-shim-runsc-v1": b"#!/bin/sh\n# another\n"})

    said = installed.fetch(other, fresh="yes")

    after = {path: path.stat().st_ino for path in installed.home.rglob("*") if path.is_file()}
    changed = {path.name for path in before if after[path] != before[path]}
    assert said == f"{RELEASE} is installed in {installed.home}\n"
    assert installed.manifest()["sha512"] == {"gvisor.tar.bz2": hashlib.sha512(other).hexdigest()}
    assert changed == {"containerd-shim-runsc-v1", "manifest.json"}
    assert installed.fetch(other) == f"{RELEASE} is already installed\n"


@pytest.mark.parametrize("moves", range(6))
def test_a_killed_repair_leaves_a_runsc_and_is_ended_later(installed: Machine, moves: int) -> None:
    for path in installed.home.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            path.write_bytes(path.read_bytes() + b"damage")
    mv = installed.root / "bin" / "mv"
    counter = installed.root / "moves"
    counter.write_text("x" * moves)
    real = mv.resolve()
    lines = (
        f"read -r left < {counter} || :",
        '[ -n "$left" ] || kill -9 "$PPID"',
        f'printf %s "${{left#x}}" > {counter}',
        f'exec {real} "$@"',
    )
    stub(mv.parent, "mv", "\n".join(lines))

    installed.fetch()
    runsc = (installed.home / "runsc").stat()
    mv.unlink()
    mv.symlink_to(real)
    installed.fetch()

    assert runsc.st_mode & 0o777 == 0o755
    assert installed.is_whole()


WRAPPER = "/opt/gvisor/runtimes/runsc-1-2"


def users(node: Path) -> list[str]:
    """Return what the script prints about a node whose files are in a directory."""
    text = script("releases/users").replace("/run/containerd", str(node))
    text = text.replace("find /proc ", f"find {node} ").replace("/etc/docker", str(node))
    text = text.replace("/run/docker/containerd", str(node / "none"))
    text = text.replace("/var/lib/pyinfra-gvisor", str(node / "none"))
    text = text.replace("/run/pyinfra-gvisor/runtimes", str(node / "marks"))
    text = text.replace("/opt/gvisor/judge", str(node / "judge"))
    ran = run(f"set -eu\n{text}\nrelease_users\necho end")
    *found, end = ran.stdout.splitlines()
    assert (ran.returncode, end) == (0, "end"), ran.stderr
    return found


def test_containers_marks_and_the_resident_judge_are_asked_what_they_use(tmp_path: Path) -> None:
    options = tmp_path / "io.containerd.runtime.v2.task/moby/4f5c/options.json"
    program, mark = "/opt/gvisor/runtimes/judge-1-2", "/opt/gvisor/runtimes/marked-1-2"
    (served,) = (item for item in judge_files(program, None) if item.path.endswith("/serve"))
    for path in (options.parent, tmp_path / "judge", tmp_path / "marks"):
        path.mkdir(parents=True)
    options.write_text('{"BinaryName": "runc"}')
    (tmp_path / "marks" / "5e6d").symlink_to("runc")
    none_of_ours = users(tmp_path)

    options.write_text(f'{{"BinaryName": "{WRAPPER}"}}')
    (tmp_path / "marks" / "4f5c").symlink_to(mark)
    (tmp_path / "judge" / "serve").write_text(served.text)

    assert (none_of_ours, sorted(users(tmp_path))) == ([], sorted([WRAPPER, mark, program]))
