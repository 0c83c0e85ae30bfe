"""A control host that drops --runtime, until the deploy has been there."""

from pathlib import Path

import pytest

from tests.coolify.host import VERSIONS, ControlHost
from tests.node.controlling import (
    COMPOSE,
    CURRENT,
    as_shipped,
    changes_nothing,
    custom,
    have,
    journal,
    left,
    look_now,
    run,
)
from tests.node.coolify_nodes import Coolify
from tests.node.running import Fleet
from tests.node.story import channels, count_channels
from tests.node.watching import within

TYPED = "--cap-drop=ALL --runtime=runsc"
# What is typed, and what of it has to be in the compose file.
TABLE = {
    "--runtime=runsc": {"runtime": "runsc"},
    "--runtime runsc": {"runtime": "runsc"},
    '--runtime="runsc"': {"runtime": "runsc"},
    TYPED: {"cap_drop": ["ALL"], "runtime": "runsc"},
    "--hostname=a--runtime=x": {"hostname": "a--runtime=x"},
    "": {},
    None: {},
}
DROPPED = {"cap_drop": ["ALL"]}
HONOURED = {"cap_drop": ["ALL"], "runtime": "runsc"}
HONEST = "4.4.0"  # knows the option by itself
THEIRS = """# of another add-on
services:
    coolify:
        labels:   [ "mine=1" ]
        volumes:
        - /etc/hostname:/mnt/hostname:ro   # theirs
"""


@pytest.fixture
def fleet(coolify: Coolify, tmp_path: Path) -> Fleet:
    """Runs pyinfra on the two nodes."""
    return Fleet(coolify.nodes, tmp_path)


@pytest.fixture
def host(coolify: Coolify) -> ControlHost:
    """A control host as Coolify ships it."""
    return as_shipped(coolify.control)


def test_a_running_coolify_honours_the_option_and_no_deployment_is_ended(
    host: ControlHost, fleet: Fleet
) -> None:
    container, dropped = host.container_id(), host.deploy(TYPED)
    running = host.submit(TYPED, sleep_s=3)
    assert within(10, lambda: host.is_running(running))

    have(fleet)

    assert dropped == DROPPED
    assert host.result(running)["options"] == DROPPED  # it had begun with the old code
    assert {text: host.deploy(text) for text in TABLE} == TABLE
    assert host.container_id() == container
    before = count_channels(host.node)
    assert changes_nothing(fleet)
    assert channels(host.node) - before == 1
    assert journal(host) == []  # the timer's looks had nothing to do


def test_an_upgrade_keeps_it_from_the_first_deployment_on(host: ControlHost, fleet: Fleet) -> None:
    have(fleet)

    for version in (version for version in VERSIONS if version < HONEST):
        upgraded = host.upgrade(version)

        assert upgraded.code == 0, upgraded.stderr
        assert host.deploy(TYPED) == HONOURED, version
    assert changes_nothing(fleet)


def test_a_patch_that_got_lost_is_put_back_by_the_timer(host: ControlHost, fleet: Fleet) -> None:
    shipped = host.source_bytes()
    have(fleet)
    host.node.exec("rm", COMPOSE)  # as somebody might, who tidies up
    upgraded = host.upgrade(CURRENT)
    assert upgraded.code == 0, upgraded.stderr
    lost = host.source_bytes()

    looked = look_now(host)
    honoured = within(20, lambda: host.deploy(TYPED) == HONOURED)

    assert lost == shipped
    assert looked == 0
    assert honoured
    assert "it was patched again and honours --runtime now" in journal(host)[-1]
    have(fleet)
    assert custom(host) is not None


def test_an_upgrade_to_a_coolify_that_knows_it_needs_nothing_of_ours(
    host: ControlHost, fleet: Fleet
) -> None:
    have(fleet)

    upgraded = host.upgrade(HONEST)

    assert upgraded.code == 0, upgraded.stderr
    assert b"pyinfra-gvisor" not in host.source_bytes()
    assert host.deploy(TYPED) == HONOURED
    assert changes_nothing(fleet)


def test_a_compose_file_of_others_is_merged_and_given_back_to_the_byte(
    host: ControlHost, fleet: Fleet
) -> None:
    host.node.put(COMPOSE, THEIRS.encode(), mode=0o640)
    shipped = host.source_bytes()

    have(fleet)
    merged = custom(host) or ""
    upgraded = host.upgrade(CURRENT)
    honoured, theirs = host.deploy(TYPED), host.inside("cat", "/mnt/hostname")
    away = run(fleet, coolify=False)

    assert set(THEIRS.splitlines()) <= set(merged.splitlines())
    assert upgraded.code == 0, upgraded.stderr
    assert honoured == HONOURED
    assert theirs == host.node.exec("cat", "/etc/hostname").stdout
    assert away.code == 0, away.text
    assert custom(host) == THEIRS
    assert host.node.exec("stat", "-c", "%a", COMPOSE).stdout == "640\n"
    assert host.source_bytes() == shipped


def test_what_is_mounted_stays_until_coolify_is_recreated_and_then_all_is_gone(
    host: ControlHost, fleet: Fleet
) -> None:
    shipped = host.source_bytes()
    have(fleet)
    host.upgrade(CURRENT)  # from here on it is mounted

    first = run(fleet, coolify=False)
    again = changes_nothing(fleet, coolify=False)
    host.restart()
    restarted = (host.source_bytes(), host.deploy(TYPED))
    host.upgrade(CURRENT)
    last = run(fleet, coolify=False)

    assert first.code == 0, first.text
    assert "would not start without it. The first run after" in first.stderr
    assert again
    assert restarted == (shipped, DROPPED)
    assert last.code == 0, last.text
    assert left(host) == []
    assert custom(host) is None
    assert changes_nothing(fleet, coolify=False)
