"""A release onto a real node that has no way out, and what a second run does."""

from pathlib import Path

import pytest

from tests.node.archives import sha512, small_members, write_archive
from tests.node.releases import Place
from tests.node.running import Fleet

NEW = "20260928.0"


@pytest.mark.usefixtures("converged")
def test_a_node_without_a_way_out_gets_it_from_the_controller_once(
    fleet: Fleet, tmp_path: Path
) -> None:
    below = tmp_path / "mirror" / NEW / "x86_64"
    below.mkdir(parents=True)
    archive = write_archive(below / "gvisor.tar.bz2", small_members(NEW, size_bytes=12 << 20))
    pins = {"x86_64": sha512(archive)}
    data = {"gvisor_source": str(tmp_path / "mirror"), "gvisor_sha512": pins}
    place = Place(fleet, "lived-in", NEW, data)
    route = place.node.exec("ip", "route", "show", "default").stdout.split()
    place.node.exec("ip", "route", "del", "default")

    try:
        outcome = place.install()
        second = place.install()
        whole = outcome.code == 0 and place.is_whole()
    finally:
        place.node.exec("ip", "route", "add", *route)
        place.remove()

    assert outcome.code == 0, outcome.text
    assert whole
    assert "upload gvisor" not in outcome.stderr  # how far it is, is for terminals
    assert second.code == 0, second.text
    assert second.stderr.count("No changes") == 1, second.text
