"""A change during which the daemon dies, hangs or does not start, or the machine plays tricks."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import SOCKET
from tests.node.audits import sh
from tests.node.faults import COLD_START, FILE, Faults, live, reloading, restarting, wait_for
from tests.node.planted import ASIDE, plant, uproot
from tests.node.second_engine import AT, another_engine, engine
from tests.node.transactions import last_run
from tests.node.unit_files import units

pytestmark = pytest.mark.slow

KILL_DOCKERD = 'kill -9 "$(cat /run/docker.pid)"'
KILL_CONTAINERD = "systemctl kill --kill-who=main -s KILL containerd"
RESTART = 'systemctl reset-failed "$unit"; timeout "$timeout_s" systemctl restart "$unit"'
STOPPED = 'kill -STOP "$(cat /run/docker.pid)"'
# systemd repeats a start that failed 100 ms later; a busy node needs longer to forbid that
SLOW = """
systemctl() {
    case "$*" in "stop --no-block "*) sleep 3 ;; esac
    command systemctl "$@"
}
"""
THEIRS = '"max-download-attempts": 7'
HELD = ": > /run/at-step; while [ -e /run/at-step ]; do sleep 0.05; done"


def test_a_dockerd_that_is_killed_while_it_reloads_is_as_declared(plain: Faults) -> None:
    wanted = reloading(plain.before)

    plain.run(wanted, hook=f"service_reload() {{ {KILL_DOCKERD}; }}\n")

    plain.assert_sound(wanted)


def test_a_dockerd_that_is_killed_while_it_restarts_loses_no_container(
    broken: Callable[[str], Faults],
) -> None:
    faults = broken("docker-29")
    wanted = restarting(faults.before)

    faults.run(wanted, hook=f"service_restart() {{ {KILL_DOCKERD}; {RESTART}; {KILL_DOCKERD}; }}\n")

    faults.assert_sound(wanted)


def test_whatever_engine_root_asks_we_ask_the_one_that_we_change(faults: Faults) -> None:
    wanted = restarting(faults.before)

    with another_engine(faults.node):
        outcome = faults.run(wanted)
        asked = faults.node.exec("docker", "info", "--format", "{{.DockerRootDir}}").stdout

    assert asked.strip() == f"{AT}/data"
    assert outcome.code == 0, outcome.text
    faults.assert_sound(wanted)


def test_an_engine_that_takes_dockers_socket_is_told_from_dockerd(plain: Faults) -> None:
    node, wanted = plain.node, reloading(plain.before)
    try:
        with engine(node, f"-H unix://{SOCKET}"):
            outcome = plain.run(wanted)
    finally:
        sh(node, "systemctl restart docker.socket docker")
        wait_for(node, "docker version")

    assert outcome.code == 1
    refused = f"another program than dockerd .* answers at {SOCKET}, got dockerd"
    assert re.search(refused, outcome.text)
    plain.assert_sound(wanted)


@pytest.mark.parametrize("change", [reloading, restarting])
def test_a_containerd_that_is_killed_loses_no_container(faults: Faults, change: Any) -> None:
    wanted = change(faults.before)
    hook = (
        f'service_reload() {{ {KILL_CONTAINERD}; systemctl reload "$unit"; }}\n'
        f"service_restart() {{ {KILL_CONTAINERD}; {RESTART}; }}\n"
    )

    faults.run(wanted, hook=hook)

    faults.assert_sound(wanted)


def test_a_key_that_fails_at_a_cold_start_only_is_undone(
    broken: Callable[[str], Faults],
) -> None:
    faults = broken("docker-20")
    wanted = restarting(faults.before)
    with units(faults.node, stack="Requires", part="PartOf"):
        faults.remember()

        outcome = faults.run({**wanted, **COLD_START}, hook=SLOW)

        assert outcome.code == 1
        assert "dockerd did not start; rolling back" in outcome.stderr
        assert "dockerd's log: " in outcome.stderr
        assert "address already in use" in outcome.stderr
        assert "the node runs its previous configuration" in outcome.stderr
        assert last_run(faults.node)["result"] == "reverted"
        assert live(faults.node) == faults.before
        faults.assert_sound(wanted)


def test_a_dockerd_that_starts_and_does_not_answer_is_undone(
    broken: Callable[[str], Faults],
) -> None:
    faults = broken("docker-29")
    wanted = restarting(faults.before)
    once = f"if [ ! -e /run/once ]; then : > /run/once; {STOPPED}; fi"

    outcome = faults.run(wanted, hook=f"service_restart() {{ {RESTART}; {once}; }}\n", timeout_s=5)

    faults.node.exec("rm", "/run/once")
    assert outcome.code == 1
    assert "the Docker API did not answer within 5 s; rolling back" in outcome.stderr
    assert live(faults.node) == faults.before
    faults.assert_sound(wanted)


def test_power_that_goes_before_a_bad_file_was_tried_leaves_a_daemon_that_starts(
    plain: Faults,
) -> None:
    wanted = restarting(plain.before)
    hook = f"service_restart() {{ {HELD}; }}\n"
    controller = plain.start({**wanted, **COLD_START}, hook=hook)
    wait_for(plain.node, "test -e /run/at-step")
    plain.node.exec("sed", "-i", f"s/^{{/{{ {THEIRS},/", FILE)

    plain.cut_power(controller)

    assert last_run(plain.node)["result"] == "reverted"
    assert live(plain.node) == plain.before
    assert plain.node.exec("grep", "-F", THEIRS, FILE).code == 0
    plain.node.exec("sed", "-i", f"s/ {THEIRS},//", FILE)
    plain.assert_sound(wanted)


def test_a_file_of_others_that_dockerd_refuses_is_kept_aside_and_dockerd_starts(
    plain: Faults,
) -> None:
    wanted = restarting(plain.before)
    once = f"rm -f /run/first; {HELD}; return 1"
    hook = f"service_restart() {{ if [ -e /run/first ]; then {once}; fi; {RESTART}; }}\n"
    plain.node.exec("touch", "/run/first")
    controller = plain.start(wanted, hook=hook)
    wait_for(plain.node, "test -e /run/at-step")
    refused = THEIRS.replace("7", "true")

    plain.node.exec("sed", "-i", f"s/^{{/{{ {refused},/", FILE)
    plain.go_on()

    assert controller.wait(timeout=60) == 1
    assert last_run(plain.node)["result"] == "reverted"
    assert live(plain.node) == plain.before
    aside = "/var/lib/pyinfra-gvisor/daemon.json.refused"
    assert plain.node.exec("grep", "-F", refused, aside).code == 0
    plain.assert_sound(wanted)


def test_a_clock_that_is_set_back_in_the_middle_changes_nothing(faults: Faults) -> None:
    wanted = restarting(faults.before)
    back = 'if [ -e /run/back ]; then set -- -d -1hour "$@"; fi'
    clock = f'#!/bin/sh\n{back}\nexec {ASIDE}/date "$@"\n'
    plant(faults.node, clock, "date")

    clock_back = (
        """step() { say "$1" >> "$work/journal"; if [ "$1" = write ]; then : > /run/back; fi; }\n"""
    )

    outcome = faults.run(wanted, hook=clock_back)

    uproot(faults.node, "date")
    faults.node.exec("rm", "/run/back")
    assert outcome.code == 0, outcome.text
    faults.assert_sound(wanted)
