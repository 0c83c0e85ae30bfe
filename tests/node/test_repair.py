"""A damaged release is repaired by the next run, under a sandbox that runs from it throughout."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.archives import ArchiveServer, release_archive, sha512
from tests.node.releases import Place
from tests.node.running import Fleet
from tests.node.sandboxes import Sandbox
from tests.node.sandboxes import sandbox as a_sandbox
from tools.lab import LabNode

RELEASE = "20261001.0"
SKIPPED = bytes.fromhex("502a4d18 04000000 00000000")
"""A frame that zstd skips: RFC 8878, 3.1.2."""
GVISOR = "#1 SMP Sun Jan 10 15:06:54 PST 2016"


@pytest.fixture(scope="module")
def body(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive."""
    return release_archive(archive, RELEASE, tmp_path_factory.mktemp("repair"))


@pytest.fixture(scope="module")
def place(
    brought: dict[str, LabNode],
    server: ArchiveServer,
    body: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """A node that has the release."""
    fleet = Fleet(brought, tmp_path_factory.mktemp("fleet"))
    pins = {"x86_64": sha512(body)}
    place = Place(fleet, "plain", RELEASE, {"gvisor_source": server.source, "gvisor_sha512": pins})
    server.put(RELEASE, body.read_bytes())
    place.remove()
    outcome = place.install()
    assert outcome.code == 0, outcome.text
    yield place
    place.remove()


@pytest.fixture(scope="module")
def sandbox(place: Place) -> Iterator[Sandbox]:
    """The one that has to survive all of this."""
    with a_sandbox(place.node, f"{place.home}/runsc", "kept") as running:
        assert running.says("uname", "-v") == GVISOR
        yield running


# Every other damage: tests/unit/releases/test_script_install_release.py, with the same script.
def test_damage_is_repaired_under_a_running_sandbox(place: Place, sandbox: Sandbox) -> None:
    place.sh("cp runsc /tmp/r && truncate -s 1000 /tmp/r && mv /tmp/r runsc")

    outcome = place.install()
    second = place.install()

    assert outcome.code == 0, outcome.text
    assert f"repair runsc {RELEASE} from http" in outcome.stderr
    assert place.is_whole()
    assert sandbox.says("uname", "-v") == GVISOR
    assert second.stderr.count("No changes") == 1, second.text


def test_another_pin_is_fetched_under_a_running_sandbox_or_nothing_is_lost(
    place: Place, sandbox: Sandbox, server: ArchiveServer, body: Path
) -> None:
    other = body.read_bytes() + SKIPPED  # the same members, for tar
    pin = {"gvisor_sha512": {"x86_64": hashlib.sha512(other).hexdigest()}}
    recorded = place.manifest()["sha512"]

    refused = place.install(**pin)
    left = place.manifest()["sha512"]
    server.put(RELEASE, other)
    fetched = place.install(**pin)
    second = place.install(**pin)

    assert refused.code == 1
    assert "nothing was changed" in refused.stderr
    assert left == recorded
    assert fetched.code == 0, fetched.text
    assert f"fetch runsc {RELEASE} again from http" in fetched.stderr
    assert list(place.manifest()["sha512"].values()) == list(pin["gvisor_sha512"].values())
    assert place.is_whole()
    assert sandbox.says("uname", "-v") == GVISOR
    assert second.stderr.count("No changes") == 1, second.text
