"""A file that dockerd refuses to reload: foreseen, named, and loaded by another of its effect."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.reload import unloadable
from pyinfra_gvisor.daemon_json.transaction import transaction
from pyinfra_gvisor.preflight import notes
from pyinfra_gvisor.proof.skipped_checks import why_not_reload
from tests.unit.answers import RUNSC, info, node
from tests.unit.shells import run

ON = '{\n  "userland-proxy": true\n}\n'
PATH = {"userland-proxy-path": "/usr/bin/docker-proxy"}
NO_PATH = 'dockerd refuses every reload: "userland-proxy" is true without "userland-proxy-path"'


def of(version: str, text: str | None = ON, **given: Any) -> Any:
    """A node with this dockerd and this daemon.json."""
    return node(daemon_json=text, docker=info(ServerVersion=version), **given)


@pytest.mark.parametrize(
    ("version", "text", "refused"),
    [
        pytest.param("26.1.5", ON, True, id="no-path"),
        pytest.param("29.7.1", ON, True, id="no-path-in-29"),
        pytest.param("24.0.9", ON, False, id="before-25"),
        pytest.param("26.1.5", '{"userland-proxy": true, "userland-proxy-path": "/x"}', False,
                     id="a-path"),
        pytest.param("26.1.5", '{"userland-proxy": false}', False, id="off"),
        pytest.param("26.1.5", "{}", False, id="left-out"),
        pytest.param("26.1.5", "{", False, id="not-json"),
        pytest.param("26.1.5", None, False, id="no-file"),
    ],
)  # fmt: skip
def test_a_file_that_dockerd_refuses_to_reload_is_named_with_the_way_out(
    version: str, text: str | None, refused: bool
) -> None:
    found = of(version, text)

    told = [line for line in notes(found) if NO_PATH in line]

    assert (unloadable(found) is not None) is refused
    assert len(told) == refused
    assert all('; remove "userland-proxy" from the file' in line for line in told)
    assert (NO_PATH in (why_not_reload(found) or "")) is refused


@pytest.mark.parametrize(
    ("version", "wanted", "refused"),
    [
        pytest.param("26.1.5", {}, True, id="no-path"),
        pytest.param("26.1.5", PATH, False, id="a-path"),
        pytest.param("20.10.24", {}, False, id="before-25"),
    ],
)
def test_a_declaration_that_makes_such_a_file_is_refused(
    version: str, wanted: dict[str, Any], refused: bool
) -> None:
    keys = {"userland-proxy": True, **wanted}
    found = of(version, "{}")

    try:
        plan_daemon_json(found, keys)
        said = ""
    except Problem as problem:
        said = str(problem)

    assert (NO_PATH in said) is refused
    assert ('declare "userland-proxy": None' in said) is refused


def staged(script: str) -> dict[str, str | None]:
    """The texts of daemon.json in a transaction's script, by name."""
    names = ("after", "neutral", "old_neutral", "on", "off", "old_on", "old_off")
    lines = [f'printf "%s\\n" "${name}_b64"' for name in (*names, "load_after", "load_old")]
    head = "\n".join(line for line in script.splitlines() if "_b64=" in line)
    said = run("\n".join([head, *lines])).stdout.split()
    texts = [None if item == "-" else base64.b64decode(item).decode() for item in said]
    return dict(zip((*names, "load_after", "load_old"), texts, strict=True))


@pytest.mark.parametrize(
    ("wanted", "action"),
    [
        pytest.param({"runtimes": {"runsc": RUNSC}}, Force.RELOAD, id="reload"),
        pytest.param({"no-new-privileges": True}, Force.RESTART, id="restart"),
    ],
)
def test_dockerd_loads_a_file_without_the_key_of_somebody_else_which_stays(
    wanted: dict[str, Any], action: Force
) -> None:
    found = of("26.1.5")
    plan = plan_daemon_json(found, wanted)

    texts = staged(transaction(plan, found, host="run-1", timeout_s=60, wait_s=300))

    assert plan.action is action
    assert '"userland-proxy": true' in (plan.after or "")
    assert texts.pop("after") == plan.after
    assert texts["load_old"]
    assert texts["load_after"]
    assert not any("userland-proxy" in (text or "") for text in texts.values())


def test_a_file_that_dockerd_accepts_is_loaded_as_it_is() -> None:
    found = of("20.10.24")

    script = transaction(
        plan_daemon_json(found, {"debug": True}), found, host="run-1", timeout_s=60, wait_s=300
    )

    texts = staged(script)
    assert (texts["load_after"], texts["load_old"]) == (None, None)
