"""When a check of the proof does not apply, and what the script is given then."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.proof.judges import MEMORY_LIMIT
from pyinfra_gvisor.proof.script import probe_script
from pyinfra_gvisor.proof.skipped_checks import no_new_privileges, skipped_checks, why_not_reload
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import Settings
from tests.unit.answers import EARLIER_S, LATER_S, RUNSC, after, info, node
from tests.unit.egress_states import declaring

WANTED: dict[str, Any] = {"live-restore": True, "debug": True, "runtimes": {"runsc": RUNSC}}
APPLIED = after(plan_daemon_json(node(), WANTED))
PROFILES = {"runsc": Runtime(), "net": Runtime(network="sandbox"), "off": Runtime(network="none")}


def changed(**given: Any) -> Node:
    """A node on which our change is in force, but for what is given."""
    return node(**{**APPLIED, **given})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(changed(), None, id="as-we-applied-it"),
        pytest.param(
            changed(daemon_json=APPLIED["daemon_json"].replace('"debug": true', '"debug": false')),
            "has not read",
            id="a-key-changed-since",
        ),
        pytest.param(
            changed(daemon_json=APPLIED["daemon_json"].replace(RUNSC["path"], "/x")),
            "has not read",
            id="a-runtime-changed-since",
        ),
        pytest.param(
            changed(docker=info(runtimes={"runsc": RUNSC})), "has not read", id="not-live"
        ),
        pytest.param(
            changed(docker={**APPLIED["docker"], "ServerVersion": "28.5.2"}),
            "forgets host-gateway",
            id="loses-something",
        ),
        pytest.param(changed(ticks=6_001), "not known", id="another-dockerd-and-a-newer-file"),
        pytest.param(
            node(daemon_json='{"debug": true}', mtime_s=EARLIER_S), None, id="older-than-dockerd"
        ),
        pytest.param(
            node(daemon_json='{"debug": true}', mtime_s=LATER_S),
            "not known",
            id="newer-than-dockerd",
        ),
        pytest.param(node(), "no daemon.json", id="no-file"),
        pytest.param(node(daemon_json="{", mtime_s=EARLIER_S), "cannot be read", id="no-json"),
        pytest.param(changed(pending=""), "was interrupted", id="interrupted"),
        pytest.param(changed(without=("info",)), "no daemon.json", id="docker-down"),
    ],
)
def test_dockerd_is_reloaded_only_with_a_file_that_it_has_read(
    found: Node, said: str | None
) -> None:
    why = why_not_reload(found)

    assert why is None if said is None else said in (why or "")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        pytest.param({}, True, id="hardened"),
        pytest.param({"gvisor_daemon_json": {"no-new-privileges": False}}, False, id="given-up"),
        pytest.param({"gvisor_daemon_json": {"no-new-privileges": None}}, None, id="left-alone"),
        pytest.param({"gvisor_restart": "reload"}, None, id="a-restart-may-stay-owed"),
        pytest.param({"gvisor_daemon_json": {"no-new-privileges": "yes"}}, None, id="nonsense"),
    ],
)
def test_whether_no_new_privileges_is_wanted_is_read_from_the_settings(
    settings: dict[str, Any], wanted: bool | None
) -> None:
    assert no_new_privileges(Settings.model_validate(settings)) is wanted


@pytest.mark.parametrize(
    ("options", "wanted", "left_out"),
    [
        pytest.param(["name=no-new-privileges"], None, set(), id="live"),
        pytest.param(["name=seccomp"], None, {"no-new-privs"}, id="not-live"),
        pytest.param(["name=seccomp"], True, set(), id="wanted-and-not-live"),
        pytest.param(["name=no-new-privileges"], False, {"no-new-privs"}, id="given-up"),
    ],
)
def test_no_new_privileges_is_left_out_only_where_nobody_wants_it(
    options: list[str], wanted: bool | None, left_out: set[str]
) -> None:
    found = node(docker=info(SecurityOptions=options))

    spared_now = skipped_checks(found, wanted=wanted, no_reload=None, declared=declaring(Egress()))

    assert set(spared_now) - {"build-kernel", "egress-allowed"} == left_out


def test_with_remapped_users_there_is_nothing_to_compare_dockers_socket_with() -> None:
    remapped = node(docker=info(SecurityOptions=["name=seccomp,profile=builtin", "name=userns"]))

    found = [
        skipped_checks(item, wanted=None, no_reload=None, declared=None)
        for item in (remapped, node())
    ]

    assert "runc cannot open" in found[0]["docker-socket"]
    assert "docker-socket" not in found[1]


def test_why_dockerd_is_not_reloaded_is_said_of_that_check() -> None:
    spared_now = skipped_checks(
        node(), wanted=True, no_reload="not now", declared=declaring(Egress())
    )

    assert spared_now["reload"] == "not now"


def test_the_script_reloads_only_where_it_may() -> None:
    with_reload = probe_script(changed(), PROFILES)
    without = probe_script(changed(), PROFILES, no_reload="not now")

    assert "systemctl reload" in with_reload
    assert f"expect_sha256={changed().daemon_json.sha256}\n" in with_reload
    assert "systemctl reload" not in without
    assert "no_reload='not now'\n" in without


def test_the_script_knows_what_has_no_network_and_which_image_to_use() -> None:
    text = probe_script(changed(), PROFILES, image="shop:1")

    assert "runtimes='runsc net off runc'\n" in text
    assert "offline=off\n" in text
    assert "image=shop:1\n" in text


def test_the_limit_of_memory_that_is_judged_is_the_one_that_probes_get() -> None:
    assert f"memory={MEMORY_LIMIT} " in script("proof/prove")
