"""The script that carries a plan out: what is in it, and that sh reads it as it is meant."""

from __future__ import annotations

import base64
import json
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.base.scripts import encoded, part, script
from pyinfra_gvisor.daemon_json.merge import Owned
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.transaction import transaction
from pyinfra_gvisor.node import Node
from tests.unit.answers import RUNSC, UNIT_FLAGS, after, node
from tests.unit.shells import run

NASTY = "a b'c\"d$(id)`id`\\e\nf*?\t~;|&"
RUNTIME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}

PACKAGE = Path(str(files("pyinfra_gvisor")))
SCRIPTS = sorted(str(path.relative_to(PACKAGE).with_suffix("")) for path in PACKAGE.rglob("*.sh"))


def made(wanted: dict[str, Json], found: Node | None = None, host: str = "run-1") -> str:
    """The transaction that brings ``wanted`` to a node."""
    found = found or node()
    plan = plan_daemon_json(found, wanted)
    return transaction(plan, found, host=host, timeout_s=60, wait_s=300)


def variable(text: str, name: str) -> str:
    """What the script's variable will hold."""
    head = text.split("#!/bin/sh", maxsplit=1)[0]
    shown = run(f'{head}printf %s "${name}"')
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def decoded(text: str, name: str) -> Any:
    """What a base64 variable of the script will hold, read as JSON."""
    return json.loads(base64.b64decode(variable(text, name)))


def asked(text: str) -> list[list[str]]:
    """What ``check_runtime`` is called with, in order."""
    head = text.split("#!/bin/sh", maxsplit=1)[0]
    stub = "check_runtime() { printf '%s\\0' \"$@\"; printf '\\n\\n'; }\n"
    shown = run(f"{head}{stub}check_runtimes")
    assert shown.returncode == 0, shown.stderr
    return [call.split("\0")[:-1] for call in shown.stdout.split("\n\n")[:-1]]


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in SCRIPTS])
def test_a_script_is_read_by_sh(name: str) -> None:
    checked = subprocess.run(
        ["sh", "-n"], input=script(name), text=True, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({**RUNTIME, "live-restore": True}, {}, id="usual"),
        pytest.param(
            {"bip": NASTY},
            {"daemon_json": json.dumps({"default-network-opts": {NASTY: {NASTY: NASTY}}})},
            id="nasty-file",
        ),
        pytest.param({}, {"flags": ("--label", NASTY, "")}, id="nasty-flags"),
        pytest.param({}, {"without": ("dockerd", "clock", "info")}, id="no-dockerd"),
    ],
)
def test_a_transaction_is_read_by_sh(wanted: dict[str, Json], given: dict[str, Any]) -> None:
    text = made(wanted, node(**given), host=NASTY)

    checked = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(NASTY, id="nasty"),
        pytest.param("", id="empty"),
        pytest.param("-n", id="an-option"),
        pytest.param("gr\u00fc\u00df \u2028", id="unicode"),
        pytest.param("it's", id="quote"),
    ],
)
def test_a_variable_of_a_script_holds_its_value_to_the_byte(value: str) -> None:
    text = script(first=value, second="behind")

    assert variable(text, "first") == value
    assert variable(text, "second") == "behind"


def test_a_number_is_a_variable_too() -> None:
    assert variable(script(timeout_s=60), "timeout_s") == "60"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, "-", id="none"),
        pytest.param("", "", id="empty"),
        pytest.param("gr\u00fc\u00df\n", "Z3LDvMOfCg==", id="unicode"),
    ],
)
def test_text_is_encoded_so_that_none_and_empty_differ(text: str | None, expected: str) -> None:
    assert encoded(text) == expected


def test_the_parts_of_a_script_come_in_the_order_they_are_named() -> None:
    text = part("daemon_json/journal", "daemon_json/dockerd", "daemon_json/apply", a="1")

    pieces = [text.index(f"\n{name}() {{") for name in ("put", "reload_dockerd", "revert")]
    assert text.startswith("a=1\n#!/bin/sh\n")
    assert pieces == sorted(pieces)


def test_the_file_is_written_only_if_it_is_still_the_one_the_plan_was_made_from() -> None:
    found = node(daemon_json='{"mtu": 1}')

    assert variable(made(RUNTIME, found), "expect_sha256") == found.daemon_json.sha256
    assert variable(made(RUNTIME, node()), "expect_sha256") == "absent"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({}, "nothing", id="nothing"),
        pytest.param(RUNTIME, "reload", id="reload"),
        pytest.param({"userland-proxy": False}, "restart", id="restart"),
    ],
)
def test_the_force_is_told_by_its_name(wanted: dict[str, Json], expected: str) -> None:
    assert variable(made(wanted), "action") == expected


def test_the_new_file_goes_over_as_it_is_written() -> None:
    found = node(daemon_json='{\r\n\t"bip": "gr\u00fc\u00df \\u00e4"\r\n}')

    text = made({"live-restore": True}, found)

    after_text = base64.b64decode(variable(text, "after_b64")).decode()
    assert after_text == '{\r\n\t"bip": "gr\u00fc\u00df \\u00e4",\r\n\t"live-restore": true\r\n}'
    assert variable(text, "neutral_b64") == "-"


def test_a_file_that_goes_away_is_no_file_and_not_an_empty_one() -> None:
    installed = node(**after(plan_daemon_json(node(), RUNTIME)))

    text = made({}, installed)

    assert variable(text, "after_b64") == "-"
    assert decoded(text, "neutral_b64") == {"runtimes": {}}


def test_only_runtimes_of_ours_have_to_be_registered_and_executable() -> None:
    found = node(daemon_json='{"runtimes": {"kata": {"path": "/k"}, "shim": {"runtimeType": "x"}}}')

    text = made({"runtimes": {"runsc": RUNSC, "net": {"path": "crun"}}}, found)

    assert variable(text, "runtimes") == f"runsc={RUNSC['path']} net=crun"
    assert asked(text) == [["runsc", RUNSC["path"]], ["net", "crun"]]


def test_an_empty_object_of_runtimes_asks_for_none() -> None:
    text = made({"runtimes": {}})

    assert (variable(text, "runtimes"), asked(text)) == ("", [])


def test_a_runtime_is_asked_with_all_its_flags_as_they_are_written() -> None:
    entry: Json = {"path": "/a b", "runtimeArgs": ["--network=host", NASTY, ""]}

    text = made({"runtimes": {"runsc": entry}})

    assert asked(text) == [["runsc", "/a b", "--network=host", NASTY, ""]]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({"debug": True}, [["runsc", RUNSC["path"]]], id="still-the-default"),
        pytest.param({"default-runtime": "net"}, [["net", "crun"]], id="the-new-default"),
        pytest.param({"default-runtime": "runc"}, [], id="no-default-any-more"),
        pytest.param(
            {"default-runtime": "runc", "runtimes": {"net": {"path": "/new"}}},
            [["net", "/new"]],
            id="changed",
        ),
    ],
)
def test_only_a_runtime_that_changes_or_is_the_default_has_to_work(
    wanted: dict[str, Json], expected: list[list[str]]
) -> None:
    had: dict[str, Json] = {"runsc": RUNSC, "net": {"path": "crun"}}
    before: dict[str, Json] = {"runtimes": had, "default-runtime": "runsc"}
    changed: Any = wanted.get("runtimes", {})

    text = made(
        {**before, **wanted, "runtimes": {**had, **changed}},
        node(**after(plan_daemon_json(node(), before))),
    )

    assert asked(text) == expected
    assert variable(text, "runtimes").startswith(f"runsc={RUNSC['path']} net=")


@pytest.mark.parametrize(
    ("wanted", "before", "expected"),
    [
        pytest.param({"live-restore": True}, None, "true", id="on"),
        pytest.param({"live-restore": False}, None, "false", id="off"),
        pytest.param({"debug": True}, None, "", id="not-said"),
        pytest.param({"debug": True}, '{"live-restore": true}', "true", id="somebody-elses"),
    ],
)
def test_the_live_restore_to_look_for_is_that_of_the_file(
    wanted: dict[str, Json], before: str | None, expected: str
) -> None:
    assert variable(made(wanted, node(daemon_json=before)), "live_restore") == expected


def test_a_run_that_dies_in_between_loses_no_claim() -> None:
    first = plan_daemon_json(
        node(daemon_json='{"mtu": 1}'), {"debug": True, "log-opts": {"env": "1"}}
    )
    installed = node(**after(first))

    text = made(RUNTIME, installed)

    intent = Owned.model_validate(decoded(text, "intent_b64"))
    ours = {"/debug", "/log-opts/env", "/runtimes/runsc"}
    assert set(intent.paths) == {*ours, "/live-restore"}  # going back may switch it on
    assert set(intent.parents) == {"/log-opts", "/runtimes"}
    assert intent.original == '{"mtu": 1}'


def test_at_the_end_only_what_is_wanted_is_ours() -> None:
    installed = node(**after(plan_daemon_json(node(), {"debug": True})))

    text = made(RUNTIME, installed)

    assert set(decoded(text, "owned_b64")["paths"]) == {"/runtimes/runsc"}


def test_what_dockerd_was_started_with_is_written_down_for_the_process_that_then_runs() -> None:
    text = made({"userland-proxy": False}, node(daemon_json='{"dns": ["1.1.1.1"]}'))

    applied = decoded(text, "applied_b64")
    assert applied["dockerd"] == "@DOCKERD@"
    assert applied["started_with"] == {"dns": ["1.1.1.1"], "userland-proxy": False}


def test_records_hold_one_line_each() -> None:
    text = made({"bip": "a\nb"}, node(daemon_json='{\n"mtu": 1}'))

    for name in ("intent_b64", "owned_b64", "applied_b64"):
        record = base64.b64decode(variable(text, name)).decode()
        assert record.count("\n") == 1
        assert record.endswith("}\n")


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(UNIT_FLAGS, id="debians-unit"),
        pytest.param((), id="none"),
        pytest.param(("--label", NASTY, "", "--x=*"), id="nasty"),
    ],
)
def test_dockerd_checks_the_file_together_with_its_own_flags(flags: tuple[str, ...]) -> None:
    head = made({}, node(flags=flags)).split("#!/bin/sh")[0]
    stub = "program=shown; shown() { printf '%s\\0' \"$@\"; }\n"

    shown = run(f'{head}{stub}validate_file "/a b"')

    assert shown.stdout.split("\0")[:-1] == ["--validate", *flags, "--config-file", "/a b"]


def test_a_lone_surrogate_in_somebodys_key_breaks_nothing() -> None:
    text = made(RUNTIME, node(daemon_json='{"data-root": "/x\\ud800"}'))

    assert decoded(text, "owned_b64")


def test_what_dockerd_says_of_the_file_or_its_flags_is_passed_on_without_secrets(
    tmp_path: Path,
) -> None:
    flags = (*UNIT_FLAGS, "--storage-opt", "a.password=hunter2-flag")
    before = json.dumps({"proxies": {"http-proxy": "http://u:hunter2-old@p"}})
    wanted: dict[str, Json] = {"proxies": {"http-proxy": "http://u:hunter2-new@p"}}
    text = made(wanted, node(daemon_json=before, flags=flags))
    function = "masked() {" + text.split("\nmasked() {", 1)[1].split("\n", 1)[0] + "\n"
    said = "failed to use http://u:hunter2-new@p instead of hunter2-old, and hunter2-flag"

    (tmp_path / "hide").write_text(f"{variable(text, 'hide')}\n")

    ran = run(f"work={tmp_path}\n{function}echo '{said}' | masked")

    assert ran.stdout == "failed to use http://***@p instead of ***, and ***\n"
    assert text.count("| masked |") == text.count("$(service_log ") + text.count('/said" | masked')
