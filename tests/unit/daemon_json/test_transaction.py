"""The script that carries a plan out: what is in it, and that sh reads it as it is meant."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.base.scripts import encoded, part, script
from pyinfra_gvisor.daemon_json.merge import Owned
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from pyinfra_gvisor.daemon_json.transaction import transaction
from pyinfra_gvisor.node import Node
from tests.table import table
from tests.unit.answers import LATER_S, RUNSC, UNIT_FLAGS, after, info, node
from tests.unit.shells import run

NASTY = "a b'c\"d$(id)`id`\\e\nf*?\t~;|&"
RUNTIME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
PROXY_OFF: dict[str, Json] = {"userland-proxy": False}

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


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_read_by_sh(name: str) -> None:
    checked = subprocess.run(
        ["sh", "-n"], input=script(name), text=True, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")


@table(
    "wanted, given",
    {
        "nothing": ({}, {}),
        "usual": ({**RUNTIME, "live-restore": True}, {}),
        "nasty-file": (
            {"bip": NASTY},
            {"daemon_json": json.dumps({"default-network-opts": {NASTY: {NASTY: NASTY}}})},
        ),
        "nasty-flags": ({}, {"flags": ("--label", NASTY, "")}),
        "no-dockerd": ({}, {"without": ("dockerd", "clock", "info")}),
    },
)
def test_a_transaction_is_read_by_sh(wanted: dict[str, Json], given: dict[str, Any]) -> None:
    text = made(wanted, node(**given), host=NASTY)

    checked = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


@table(
    "value",
    {
        "nasty": NASTY,
        "empty": "",
        "an-option": "-n",
        "unicode": "gr\u00fc\u00df \u2028",
        "quote": "it's",
    },
)
def test_a_variable_of_a_script_holds_its_value_to_the_byte(value: str) -> None:
    text = script(first=value, second="behind")

    assert variable(text, "first") == value
    assert variable(text, "second") == "behind"


def test_a_number_is_a_variable_too() -> None:
    assert variable(script(timeout_s=60), "timeout_s") == "60"


@table(
    "text, expected",
    {"none": (None, "-"), "empty": ("", ""), "unicode": ("gr\u00fc\u00df\n", "Z3LDvMOfCg==")},
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


@table(
    "wanted, expected",
    {
        "still-the-default": ({"debug": True}, [["runsc", RUNSC["path"]]]),
        "the-new-default": ({"default-runtime": "net"}, [["net", "crun"]]),
        "no-default-any-more": ({"default-runtime": "runc"}, []),
        "changed": (
            {"default-runtime": "runc", "runtimes": {"net": {"path": "/new"}}},
            [["net", "/new"]],
        ),
    },
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


@table(
    "wanted, before, expected",
    {
        "on": ({"live-restore": True}, None, "true"),
        "off": ({"live-restore": False}, None, "false"),
        "not-said": ({"debug": True}, None, ""),
        "somebody-elses": ({"debug": True}, '{"live-restore": true}', "true"),
        "not-said-after-a-restart": (PROXY_OFF, None, "false"),
        "on-after-a-restart": ({**PROXY_OFF, "live-restore": True}, None, "true"),
        "somebody-elses-after-a-restart": (PROXY_OFF, '{"live-restore": true}', "true"),
    },
)
def test_the_live_restore_to_look_for_is_that_of_the_file_and_off_after_a_restart_without_it(
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


@table("flags", {"debians-unit": UNIT_FLAGS, "none": (), "nasty": ("--label", NASTY, "", "--x=*")})
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


LIVE: dict[str, Json] = {"live-restore": True}
NONE = {"on": None, "off": None, "old_on": None, "old_off": None}

CANNOT: dict[str, Any] = {
    "swarm": {"docker": info(swarm="active")},
    "flag": {"flags": ["--live-restore"], "docker": info(live_restore=True)},
    "flag-off": {"flags": ["--live-restore=false"]},
}


def script_for(wanted: dict[str, Json], restart: Restart = "auto", **given: Any) -> str:
    """The transaction that brings ``wanted`` to a node."""
    found = node(**given)
    plan = plan_daemon_json(found, wanted, restart=restart)
    return transaction(plan, found, host="run-1", timeout_s=60, wait_s=300)


def texts(script: str) -> dict[str, str | None]:
    """The files that live-restore is switched on and off with; None where there is none."""
    found = dict(re.findall(r"^(\w+)_b64=(\S+)$", script, re.MULTILINE))
    return {name: None if found[name] == "-" else from_base64(found[name]) for name in NONE}


def from_base64(text: str) -> str:
    """What the node will decode."""
    return base64.b64decode(text).decode()


def test_a_new_file_without_live_restore_is_started_with_it_on_then_off() -> None:
    found = texts(script_for(PROXY_OFF, daemon_json='{"mtu": 1}'))

    assert found == {
        "on": '{"mtu": 1, "userland-proxy": false, "live-restore": true}',
        "off": '{"mtu": 1, "userland-proxy": false, "live-restore": false}',
        "old_on": '{"mtu": 1, "live-restore": true}',
        "old_off": '{"mtu": 1, "live-restore": false}',
    }


def test_where_there_was_no_file_going_back_still_goes_through_live_restore() -> None:
    found = texts(script_for(PROXY_OFF))

    assert found["old_on"] == '{\n    "live-restore": true\n}\n'
    assert found["old_off"] == '{\n    "live-restore": false\n}\n'


@table(
    "wanted, before, there",
    {
        "new-has-it": ({**PROXY_OFF, **LIVE}, '{"mtu": 1}', {"old_on", "old_off"}),
        "old-has-it": (
            {**PROXY_OFF, "live-restore": False},
            '{"live-restore": true}',
            {"on", "off"},
        ),
        "both-have-it": (PROXY_OFF, '{"live-restore": true}', set()),
        "both-have-it-off": (
            {**PROXY_OFF, "live-restore": False},
            '{"live-restore": false}',
            {"on", "off", "old_on", "old_off"},
        ),
    },
)
def test_a_file_that_has_live_restore_on_is_started_with_as_it_is(
    wanted: dict[str, Json], before: str, there: set[str]
) -> None:
    found = texts(script_for(wanted, daemon_json=before))

    assert {name for name, text in found.items() if text is not None} == there


@table(
    "wanted, restart",
    {"reload": ({"runtimes": {"runsc": RUNSC}}, "auto"), "restart-owed": (PROXY_OFF, "reload")},
)
def test_without_a_restart_only_the_way_back_may_need_one(
    wanted: dict[str, Json], restart: Restart
) -> None:
    found = texts(script_for(wanted, restart=restart))

    assert (found["on"], found["off"]) == (None, None)
    assert found["old_on"]
    assert found["old_off"]


@table("given", CANNOT)
def test_where_the_file_may_not_switch_it_live_restore_is_left_alone(given: dict[str, Any]) -> None:
    text = script_for(PROXY_OFF, daemon_json='{"mtu": 1}', **given)

    assert texts(text) == NONE
    assert "\ncan_live_restore=no\n" in text
    assert "\nlive_restore=''\n" in text


def intent(script: str) -> Owned:
    """What may be ours while the transaction is going on."""
    (found,) = re.findall(r"^intent_b64=(\S+)$", script, re.MULTILINE)
    return Owned.load(json.loads(from_base64(found)))


@table(
    "wanted, before, was",
    {
        "restart": (PROXY_OFF, None, None),
        "going-back-may-restart": ({"runtimes": {"runsc": RUNSC}}, None, None),
        "somebody-has-it-off": (PROXY_OFF, '{"live-restore": false}', "false"),
        "wanted": (LIVE, '{"live-restore" : false}', "false"),
    },
)
def test_what_live_restore_is_switched_to_on_the_way_is_known_as_ours(
    wanted: dict[str, Json], before: str | None, was: str | None
) -> None:
    claim = intent(script_for(wanted, daemon_json=before))

    mine = claim.paths["/live-restore"]
    assert mine.has_written(value=True)
    assert mine.has_written(value=False)
    assert mine.before == was
    assert claim.unfinished


@table("given", CANNOT)
def test_where_it_is_not_switched_live_restore_is_not_claimed(given: dict[str, Any]) -> None:
    claim = intent(script_for(PROXY_OFF, **given))

    assert set(claim.paths) == {"/userland-proxy"}


@pytest.mark.parametrize("state", ["on", "off"])
def test_a_removal_after_a_change_that_died_on_the_way_gives_the_original_back(state: str) -> None:
    original = '{"mtu": 1}'
    script = script_for(PROXY_OFF, daemon_json=original)
    died = {"daemon_json": texts(script)[state], "mtime_s": LATER_S}
    record = intent(script).model_dump()

    removed = plan_daemon_json(node(**died, state={"owned": record}), {})

    assert removed.after == original
    assert removed.left == ()


def test_every_transaction_has_a_name_of_its_own() -> None:
    ids = [re.findall(r"^id=(\S+)$", script_for(LIVE), re.MULTILINE) for _ in range(2)]

    assert len(ids[0]) == len(ids[1]) == 1
    assert ids[0] != ids[1]
