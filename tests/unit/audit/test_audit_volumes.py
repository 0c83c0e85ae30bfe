"""Volumes that are a directory or device of the node, and those that only look like one."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.policy.findings import Severity
from tests.table import table
from tests.unit.answers import compact
from tests.unit.audit.audited import audited, found, waived

MEDIUM, HIGH, CRITICAL = Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
VOLUMES = "/var/lib/docker/volumes"
LINK = "/srv/link"
SEAL = {"gvisor_seal": {"binds": ["/srv"]}}
KEY = "volume-opens-node volume shop"


def line(kind: str, options: str, device: str, *places: str, name: str = "shop") -> str:
    """A volume with these options as the script tells it."""
    known = {device: places} if places else {}
    told = {"name": name, "type": kind, "options": options, "device": device, "places": known}
    return f"volume {compact(told)}"


@table(
    "told, settings, severity",
    a_directory=(("none", "bind", "/srv/a"), {}, MEDIUM),
    one_in_use=(("none", "bind", "/srv/a", "/srv/a", f"{VOLUMES}/shop/_data"), {}, MEDIUM),
    another_volume=(("none", "bind", LINK, f"{VOLUMES}/other/_data"), {}, HIGH),
    an_allowed_one=(("none", "bind", "/srv/a"), SEAL, None),
    out_of_an_allowed_one=(("none", "bind", "/srv/../home"), SEAL, MEDIUM),
    a_link_out_of_an_allowed_one=(("none", "ro,rbind", LINK, "/etc/cron.d"), SEAL, HIGH),
    a_directory_of_root=(("none", "bind", "/etc/cron.d"), {}, HIGH),
    without_a_slash=(("none", "bind", "etc/cron.d"), {}, HIGH),
    two_slashes=(("none", "bind", "//etc/cron.d"), {}, HIGH),
    ours=(("none", "bind", "/opt/gvisor/runtimes"), {}, CRITICAL),
    a_link_to_ours=(("none", "bind", LINK, "/etc/docker"), {}, CRITICAL),
    a_bind_of_another_type=(("tmpfs", "size=1,bind", "/etc"), {}, CRITICAL),
    a_disk=(("ext4", "", "/dev/sda1"), SEAL, HIGH),
    all_devices=(("devtmpfs", "", "none"), SEAL, HIGH),
    layers=(("overlay", "lowerdir=/etc,upperdir=/u,workdir=/w", "none"), {}, HIGH),
    memory=(("tmpfs", "size=1", "tmpfs"), {}, None),
    a_server=(("nfs", "addr=192.0.2.1,username=bind-user", ":/etc"), {}, None),
)
def test_a_volume_counts_by_what_it_is_on_the_node(
    told: Any, settings: Any, severity: Severity | None
) -> None:
    finding = found(audited(line(*told), settings=settings)).get(KEY)

    assert (finding.severity if finding else None) is severity


def test_a_volume_is_told_with_its_options_and_can_be_waived() -> None:
    told = line("none", "bind\n", LINK, "/etc/docker", name="a\nb")

    finding = found(audited(told))["volume-opens-node volume a?b"]
    accepted = audited(told, settings={"gvisor_waivers": {"volume-opens-node": "it is our own"}})

    assert finding.evidence == f"device: {LINK} (is /etc/docker); type=none, o=bind?"
    assert waived(accepted)["volume-opens-node volume a?b"] == "it is our own"


def test_of_thousands_the_worst_are_told_and_that_docker_lists_none_is_a_finding() -> None:
    many = [line("none", "bind", "/srv/a", name=f"v{number}") for number in range(2000)]

    report = found(audited(*many, line("none", "bind", "/opt/gvisor")))
    unknown = found(audited("volumes_error no answer within 10 s"))["volume-opens-node volumes"]

    told = [item for key, item in report.items() if key.startswith("volume-opens-node")]
    assert report[KEY].severity is CRITICAL
    assert report["volume-opens-node volumes"].evidence == "1951 more"
    assert len(told) == 51
    assert (unknown.severity, unknown.evidence) == (MEDIUM, "not known: no answer within 10 s")
