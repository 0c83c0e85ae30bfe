"""Wrapper scripts: their text, their path, and which a node lacks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.profiles import Runtime
from pyinfra_gvisor.runtimes import missing, wanted_daemon_json, wrapper, wrappers
from pyinfra_gvisor.settings import load_settings
from tests.unit.answers import node

RELEASE = "20260928.0"
RUNSC = "/opt/gvisor/releases/20260928.0/runsc"


@pytest.mark.parametrize(
    ("runtime", "flags"),
    [
        pytest.param(Runtime(), "--network=host", id="default"),
        pytest.param(Runtime(network="sandbox"), "--network=sandbox", id="netstack"),
        pytest.param(
            Runtime(platform="kvm"), "--network=host --platform=kvm", id="platform-after-network"
        ),
        pytest.param(
            Runtime(flags=("--overlay2=none", "--debug")),
            "--network=host --overlay2=none --debug",
            id="flags-in-their-order",
        ),
    ],
)
def test_a_wrapper_starts_its_release_with_its_flags(runtime: Runtime, flags: str) -> None:
    assert wrapper("runsc", RELEASE, runtime).text == f'#!/bin/sh\nexec {RUNSC} {flags} "$@"\n'


def test_a_wrapper_passes_on_the_arguments_it_gets_one_by_one(tmp_path: Path) -> None:
    text = wrapper("runsc", RELEASE, Runtime(network="none")).text
    script = tmp_path / "wrapper"
    script.write_text(text.replace(RUNSC, "printf '<%s>'"))

    shown = subprocess.run(
        ["sh", script, "--root", "/a b", "", "$(id)"], check=True, capture_output=True, text=True
    )

    assert shown.stdout == "<--network=none><--root></a b><><$(id)>"


def test_the_path_of_a_wrapper_never_changes() -> None:
    made = wrapper("runsc", RELEASE, Runtime())

    assert made.path == "/opt/gvisor/runtimes/runsc-20260928.0-c1b28ec9"


@pytest.mark.parametrize(
    ("name", "release", "runtime"),
    [
        pytest.param("other", RELEASE, Runtime(), id="name"),
        pytest.param("runsc", "20260831.0", Runtime(), id="release"),
        pytest.param("runsc", RELEASE, Runtime(network="none"), id="network"),
        pytest.param("runsc", RELEASE, Runtime(platform="systrap"), id="platform"),
        pytest.param("runsc", RELEASE, Runtime(flags=("--debug",)), id="flags"),
    ],
)
def test_another_wrapper_has_another_path(name: str, release: str, runtime: Runtime) -> None:
    assert wrapper(name, release, runtime).path != wrapper("runsc", RELEASE, Runtime()).path


def test_a_node_lacks_what_it_has_not_and_what_it_has_with_another_text() -> None:
    profiles = {"runsc": Runtime(), "net": Runtime(network="sandbox"), "off": Runtime()}
    there, damaged, absent = wrappers(RELEASE, profiles)
    found = node(wrappers={there.path: there.sha256, damaged.path: "0" * 64})

    lacking = missing(found, (there, damaged, absent))

    assert lacking == (damaged, absent)


def test_daemon_json_gets_a_path_and_no_arguments_for_each_runtime() -> None:
    settings, _ = load_settings({"gvisor_runtimes": {"runsc": {}, "net": {"network": "sandbox"}}})
    assert settings

    runtimes = wanted_daemon_json(settings)["runtimes"]

    assert runtimes == {
        "runsc": {"path": wrapper("runsc", RELEASE, Runtime()).path},
        "net": {"path": wrapper("net", RELEASE, Runtime(network="sandbox")).path},
    }


def test_without_runtimes_daemon_jsons_runtimes_are_not_ours() -> None:
    settings, _ = load_settings({"gvisor_runtimes": {}})
    assert settings

    assert "runtimes" not in wanted_daemon_json(settings)
