"""Mounts in an audit: of, above and below what is guarded, under whatever name."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.policy.findings import Severity
from tests.cases.proven import proven_answer
from tests.unit.answers import UNIT_FLAGS, compact
from tests.unit.audited import app, audited, found, with_container

SOCKET, HOST, OURS = (
    "container-docker-socket shop",
    "container-host-path shop",
    "container-gvisor-path shop",
)


@pytest.mark.parametrize(
    ("mount", "rules"),
    [
        pytest.param("/", {SOCKET, HOST, OURS}, id="everything"),
        pytest.param("/etc/", {HOST, OURS}, id="above-daemon.json"),
        pytest.param("/etc/docker/daemon.json", {OURS}, id="daemon.json"),
        pytest.param("/opt/gvisor/runtimes", {OURS}, id="wrappers"),
        pytest.param("/var/lib/pyinfra-gvisor/owned.json", {OURS}, id="a-record"),
        pytest.param("/run/pyinfra-gvisor", {OURS}, id="locks"),
        pytest.param("/var", {HOST, OURS, SOCKET}, id="above-much"),
        pytest.param("/run", {HOST, OURS, SOCKET}, id="above-sockets"),
        pytest.param("/run/containerd/containerd.sock", {SOCKET}, id="containerd"),
        pytest.param("/run/docker/plugins", {SOCKET}, id="plugins"),
        pytest.param("/run/podman/podman.sock", {SOCKET}, id="podman"),
        pytest.param("/dev/sda", {HOST}, id="a-device"),
        pytest.param("/proc/sys", {HOST}, id="the-kernel's-settings"),
        pytest.param("/run/systemd/system", {HOST}, id="units"),
        pytest.param("/root/.ssh/authorized_keys", {HOST}, id="keys"),
        pytest.param("/var/lib/docker/overlay2/x", {HOST}, id="another's-files"),
        pytest.param("/var/lib/docker/volumes", {HOST}, id="all-volumes"),
        pytest.param("/var/lib/docker/volumes/a/_data/b", {HOST}, id="in-another's-volume"),
        pytest.param("/etc/localtime", set(), id="usual"),
        pytest.param("/etc/cron.daily/shop", {HOST}, id="run-by-root-daily"),
        pytest.param("/usr/local/bin", {HOST}, id="programs"),
        pytest.param("/usr/share/zoneinfo", set(), id="data-of-programs"),
        pytest.param("/data/coolify/ssh/keys", {HOST}, id="coolify's-keys"),
        pytest.param("/data/coolify/applications/shop", set(), id="its-own-of-coolify"),
        pytest.param("/opt/shop", set(), id="beside-ours"),
        pytest.param("/etc/docker-shop", set(), id="only-begins-like-it"),
    ],
)
def test_a_mount_of_what_is_guarded_is_found(mount: str, rules: set[str]) -> None:
    report = with_container(app(mounts=(mount,)))

    assert set(found(report)) == rules


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("unix:///srv/docker.sock", id="elsewhere"),
        pytest.param("unix:///var/run/second.sock", id="by-the-older-name-of-run"),
    ],
)
@pytest.mark.parametrize("flag", ["--host=", "-H", ""], ids=["long", "short", "a-word-of-its-own"])
def test_every_socket_that_dockerd_listens_at_is_guarded(flag: str, address: str) -> None:
    path = address.removeprefix("unix://").replace("/var/run/", "/run/")
    answer = proven_answer(flags=(*UNIT_FLAGS, f"{flag}{address}"))

    report = audited(*app(mounts=(path,)).lines(), answer=answer)

    assert set(found(report)) == {SOCKET}
    assert set(found(with_container(app(mounts=(path,))))) == set()


@pytest.mark.parametrize(
    ("writable", "severity"),
    [
        pytest.param(True, Severity.CRITICAL, id="written"),
        pytest.param(False, Severity.HIGH, id="read"),
    ],
)
def test_who_may_write_what_starts_sandboxes_is_worse(writable: bool, severity: Severity) -> None:
    report = with_container(app(mounts=("/opt",), writable=writable))

    assert found(report)[OURS].severity is severity


@pytest.mark.parametrize(
    ("places", "rules"),
    [
        pytest.param(["/var/lib/docker"], {HOST}, id="a-link-to-docker's-data"),
        pytest.param(["/run"], {HOST, OURS, SOCKET}, id="a-link-to-sockets"),
        pytest.param(["/opt/gvisor/runtimes", "/srv/x"], {OURS}, id="mounted-elsewhere-too"),
        pytest.param(["/srv/y"], set(), id="a-link-to-its-own"),
    ],
)
def test_what_a_mount_is_counts_and_not_its_name(places: list[str], rules: set[str]) -> None:
    report = with_container(app(mounts=("/srv/x",), places={"/srv/x": places}))

    assert set(found(report)) == rules
    for finding in found(report).values():
        assert f"/srv/x (is {places[0]}" in finding.evidence


def test_a_guarded_path_may_itself_lie_elsewhere() -> None:
    places = compact({"/opt/gvisor": ["/data/opt/gvisor"], "/var/lib/docker": ["/data/docker"]})
    process, container = app(mounts=("/data",)).lines()

    report = audited(f"places {places}", process, container)

    assert set(found(report)) == {HOST, OURS}


def test_a_volume_in_a_data_directory_that_is_a_link_is_no_finding() -> None:
    source = "/var/lib/docker/volumes/a/_data"
    places = compact({"/var/lib/docker": ["/data/docker"]})
    there = {source: ["/data/docker/volumes/a/_data"]}
    process, container = app(mounts=(source,), kind="volume", places=there).lines()

    report = audited(f"places {places}", process, container)

    assert found(report) == {}


def test_a_volume_that_another_directory_is_mounted_at_is_that_directory() -> None:
    source = "/var/lib/docker/volumes/a/_data"
    there = {source: ["/opt/gvisor", source]}
    report = with_container(app(mounts=(source,), kind="volume", places=there))

    assert set(found(report)) == {OURS}


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_what_docker_itself_has_put_there_is_no_finding(kind: str) -> None:
    sources = ("/var/lib/docker/plugins/a/propagated-mount/b", "/var/lib/docker/volumes/a/_data")

    assert found(with_container(app(mounts=sources, kind=kind))) == {}


def test_a_volume_that_is_another_ones_is_found() -> None:
    source, other = (f"/var/lib/docker/volumes/{name}/_data" for name in "ab")

    report = with_container(app(mounts=(source,), kind="volume", places={source: [other, source]}))

    assert set(found(report)) == {HOST}


def test_programs_that_may_only_be_read_are_no_finding() -> None:
    assert found(with_container(app(mounts=("/usr/bin/env", "/lib/modules"), writable=False))) == {}


def test_mounts_of_what_the_policy_leaves_alone_are_only_noted() -> None:
    report = with_container(app(labels={}, mounts=("/",)))

    assert {item.severity for item in found(report).values()} == {Severity.INFO}


def test_the_order_in_which_docker_has_mounts_makes_no_difference() -> None:
    one = with_container(app(mounts=("/usr", "/boot")))
    other = with_container(app(mounts=("/boot", "/usr")))

    assert found(one)[HOST].evidence == found(other)[HOST].evidence == "mounted: /boot, /usr"
