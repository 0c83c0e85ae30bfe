"""``fetch.sh`` in ``releases/install.sh``: what breaks off, stalls or lies, by curl and by wget."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.file_server import FileServer, Served
from tests.unit.release_script import MEMBERS, PATH, RELEASE, Machine, archive


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server on loopback."""
    with FileServer() as running:
        yield running


@pytest.fixture(params=["curl", "wget"])
def machine(tmp_path: Path, server: FileServer, request: pytest.FixtureRequest) -> Machine:
    """A node that has one of the two programs."""
    return Machine(tmp_path, server, request.param)


def test_a_release_is_installed_and_written_down(machine: Machine) -> None:
    said = machine.fetch()

    assert said == f"{RELEASE} is installed in {machine.home}\n"
    assert machine.is_whole()
    manifest = machine.manifest()
    assert manifest["release"] == RELEASE
    assert manifest["source"] == f"http://m{PATH}"
    assert manifest["sha512"] == {"gvisor.tar.bz2": hashlib.sha512(archive()).hexdigest()}
    assert manifest["members"] == {
        name: hashlib.sha256(content).hexdigest() for name, content in MEMBERS.items()
    }


def test_a_second_run_fetches_nothing(machine: Machine) -> None:
    machine.fetch()

    said = machine.fetch()

    assert said == f"{RELEASE} is already installed\n"
    assert len(machine.server.requests) == 1


@pytest.mark.parametrize("ranges", [pytest.param(True, id="range"), pytest.param(False, id="none")])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    machine: Machine, ranges: bool
) -> None:
    body = archive()
    half = len(body) // 2

    machine.fetch(Served(body, ranges=ranges, dies=[half]))

    assert machine.is_whole()
    first, second = machine.server.requests
    assert (first.range, second.range) == (None, f"bytes={half}-")
    assert second.sent_bytes == (len(body) - half if ranges else len(body))


def test_a_server_that_always_dies_is_given_up(machine: Machine) -> None:
    said = machine.fetch(Served(archive(), dies_always=100))

    assert f"gvisor.release: {RELEASE} on node-1: cannot fetch http://m{PATH}: " in said
    assert said.endswith("after 3 attempts; nothing was changed\n")
    assert "300 of " in said
    assert not machine.releases.exists()


def test_a_server_that_says_nothing_any_more_is_given_up(machine: Machine) -> None:
    said = machine.fetch(Served(archive(), stalls_at=0), timeout_s="1")

    assert "after 3 attempts; nothing was changed" in said
    assert not machine.releases.exists()


@pytest.mark.parametrize(
    ("served", "message"),
    [
        pytest.param(Served(b"x", status=403), "answers HTTP 403; check the release", id="403"),
        pytest.param(
            Served(b"x", status=503), "answers HTTP 503, after 3 attempts; nothing", id="503"
        ),
        pytest.param(
            Served(archive(), announced=2_000_000_000), "is larger than 1024 MiB", id="too-large"
        ),
        pytest.param(
            Served(archive(), announced=len(archive()) + 9),
            f" of {len(archive()) + 9} bytes, after 3 attempts",
            id="shorter-than-announced",
        ),
        pytest.param(Served(b"no archive"), "cannot be unpacked: ", id="no-archive"),
    ],
)
def test_what_does_not_arrive_whole_is_never_unpacked(
    machine: Machine, served: Served, message: str
) -> None:
    said = machine.fetch(served)

    assert message in said
    assert not machine.releases.exists()


def test_a_server_that_sends_without_end_does_not_fill_the_disk(machine: Machine) -> None:
    said = machine.fetch(Served(bytes(9_000_000)), max_bytes=str(1 << 20))

    assert "is larger than 1 MiB; nothing was changed" in said
    assert not machine.releases.exists()


def test_a_404_is_named_and_its_body_is_not_the_file(machine: Machine) -> None:
    url = f"http://127.0.0.1:{machine.server.port}/none"

    ran = machine.install("gvisor.tar.bz2", "0" * 128, url, "http://m/none")

    assert "cannot fetch http://m/none: answers HTTP 404; check the release" in ran.stderr
    assert not machine.releases.exists()


def test_another_sum_is_refused_before_anything_is_unpacked(machine: Machine) -> None:
    machine.server.files[PATH] = Served(archive())
    url = f"http://127.0.0.1:{machine.server.port}{PATH}"

    ran = machine.install("gvisor.tar.bz2", "a" * 128, url, "http://m/x")

    assert f", expected {'a' * 128}; check the mirror in gvisor_source" in ran.stderr
    assert not machine.releases.exists()


@pytest.mark.parametrize(
    ("quote", "name"), [('"', "http_proxy"), ("", "export HTTP_PROXY")], ids=["quoted", "exported"]
)
def test_the_nodes_own_proxy_is_used_where_the_environment_names_none(
    machine: Machine, quote: str, name: str
) -> None:
    proxy = f"http://127.0.0.1:{machine.server.port}"
    (machine.root / "environment").write_text(f"LANG=C\n{name}={quote}{proxy}{quote}\n")
    machine.server.files[PATH] = Served(archive())
    pin = hashlib.sha512(archive()).hexdigest()

    ran = machine.install("gvisor.tar.bz2", pin, f"http://nowhere.invalid{PATH}", "x")

    assert ran.returncode == 0, ran.stderr
    assert [request.proxied for request in machine.server.requests] == [True]


def test_what_no_proxy_names_is_fetched_directly(machine: Machine) -> None:
    (machine.root / "environment").write_text(
        "http_proxy=http://127.0.0.1:1\nno_proxy=localhost,127.0.0.1\n"
    )

    machine.fetch()

    assert machine.is_whole()
