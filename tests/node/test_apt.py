"""A release out of a signed apt repository: never installed, and the node's apt stays as it is."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.apt_repository import Signer, build_package, repository
from tests.node.archives import ArchiveServer, small_members
from tests.node.releases import Place
from tests.node.running import Fleet
from tests.node.seeing import snapshot
from tests.unit.releases.file_server import Served
from tools.lab import LabNode

RELEASE = "20260907.0"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package."""
    members = small_members(RELEASE)
    return build_package(tmp_path_factory.mktemp("package"), members, RELEASE)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Whose key the node is given."""
    return Signer(tmp_path_factory.mktemp("keys") / "one")


def serve(server: ArchiveServer, files: dict[str, bytes]) -> None:
    """The repository, and nothing of one before."""
    for path in [path for path in server.files if path.startswith("/apt/")]:
        del server.files[path]
    server.files.update({f"/apt/{path}": Served(body) for path, body in files.items()})


DEBIANS = {"debian-13": "lived-in", "debian-12": "docker-20"}


@pytest.fixture(params=DEBIANS)
def place(
    converged: dict[str, LabNode],
    fleet: Fleet,
    server: ArchiveServer,
    package: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Place]:
    """A node that is to have the release."""
    pin = hashlib.sha512(package.read_bytes()).hexdigest()
    data = {
        "gvisor_source": f"apt+{server.url}/apt",
        "gvisor_sha512": {"x86_64": {"runsc.deb": pin}},
    }
    made = Place(fleet, DEBIANS[request.param], RELEASE, data)
    yield made
    made.remove()


@pytest.mark.parametrize(
    ("place", "suite"), [("debian-13", "20260907"), ("debian-12", "release")], indirect=["place"]
)
def test_the_package_is_unpacked_and_never_installed(
    place: Place, server: ArchiveServer, package: Path, signer: Signer, suite: str
) -> None:
    serve(server, repository(package, RELEASE, signer, suite))
    before = snapshot(place.node)

    outcome = place.install()
    whole, manifest = place.is_whole(), place.manifest()
    names = place.sh("find . -type f | sort").split()
    second = place.install()
    place.remove()

    assert outcome.code == 0, outcome.text
    assert whole
    assert manifest["source"] == f"apt {server.url}/apt"
    assert list(manifest["sha512"]) == ["runsc.deb"]
    assert names == [
        "./containerd-shim-runsc-v1",
        "./gvisor-bin/gvisor_sentry",
        "./manifest.json",
        "./runsc",
    ]
    assert second.stderr.count("No changes") == 1, second.text
    assert snapshot(place.node) == before


def test_a_repository_that_another_key_signed_is_refused(
    place: Place, server: ArchiveServer, package: Path, signer: Signer, tmp_path: Path
) -> None:
    files = repository(package, RELEASE, Signer(tmp_path / "other"), "20260907")
    serve(server, {**files, "archive.key": signer.key()})
    before = snapshot(place.node)

    outcome = place.install()

    assert outcome.code == 1
    assert f"apt-get update from apt {server.url}/apt failed: " in outcome.stderr
    assert snapshot(place.node) == before


@pytest.mark.parametrize("place", ["debian-13"], indirect=True)
def test_a_package_with_another_sum_is_refused_though_it_is_signed(
    place: Place, server: ArchiveServer, package: Path, signer: Signer
) -> None:
    serve(server, repository(package, RELEASE, signer, "20260907"))
    before = snapshot(place.node)

    outcome = place.install(gvisor_sha512={"x86_64": {"runsc.deb": "c" * 128}})

    assert outcome.code == 1
    assert f"sha512 of runsc.deb of apt {server.url}/apt is " in outcome.stderr
    assert f"expected {'c' * 128}; check the mirror" in outcome.stderr
    assert snapshot(place.node) == before


@pytest.mark.parametrize("place", ["debian-13"], indirect=True)
def test_a_repository_without_a_key_is_refused(
    place: Place, server: ArchiveServer, package: Path, signer: Signer
) -> None:
    files = repository(package, RELEASE, signer, "20260907")
    del files["archive.key"]
    serve(server, files)

    outcome = place.install()

    assert outcome.code == 1
    assert f"cannot fetch {server.url}/apt/archive.key: answers HTTP 404" in outcome.stderr
    assert place.leftovers() == ""
