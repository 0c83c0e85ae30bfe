"""The script that carries a plan out: what is in it, and that sh reads it as it is meant."""

import base64
import json
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.daemon_json.merge import Owned, digest
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from pyinfra_gvisor.daemon_json.transaction import transaction
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import LATER_S, RUNSC, UNIT_FLAGS, after, info, node
from tests.unit.shells import run

NASTY = "a b'c\"d$(id)`id`\\e\nf*?\t~;|&"
RUNTIME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
PROXY_OFF: dict[str, Json] = {"userland-proxy": False}

PACKAGE = Path(str(files("pyinfra_gvisor")))
SCRIPTS = sorted(str(path.relative_to(PACKAGE).with_suffix("")) for path in PACKAGE.rglob("*.sh"))


def made(wanted: dict[str, Json], restart: Restart = "auto", **given: Any) -> str:
    """The transaction that brings ``wanted`` to a node."""
    found = node(**given)
    plan = plan_daemon_json(found, wanted, restart=restart)
    return transaction(plan, found, host=NASTY, timeout_s=60, wait_s=300)


def variable(text: str, name: str) -> str:
    """What the script's variable will hold."""
    head = text.split("#!/bin/sh", maxsplit=1)[0]
    shown = run(f'{head}printf %s "${name}"')
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def decoded(text: str, name: str) -> Any:
    """What a base64 variable of the script will hold, read as JSON."""
    return json.loads(base64.b64decode(variable(text, name)))


def read_by_sh(text: str) -> str:
    """What sh complains of in a script."""
    return subprocess.run(
        ["sh", "-n"], input=text, text=True, capture_output=True, check=False
    ).stderr


def asked(text: str) -> list[list[str]]:
    """What ``check_runtime`` is called with, in order."""
    head = text.split("#!/bin/sh", maxsplit=1)[0]
    stub = "check_runtime() { printf '%s\\0' \"$@\"; printf '\\n\\n'; }\n"
    shown = run(f"{head}{stub}check_runtimes")
    assert shown.returncode == 0, shown.stderr
    return [call.split("\0")[:-1] for call in shown.stdout.split("\n\n")[:-1]]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_read_by_sh(name: str) -> None:
    assert read_by_sh(script(name)) == ""


@table(
    "wanted, given",
    usual=({**RUNTIME, "live-restore": True}, {}),
    nasty_file=(
        {"bip": NASTY},
        {"daemon_json": json.dumps({"default-network-opts": {NASTY: {NASTY: NASTY}}})},
    ),
    nasty_flags=({}, {"flags": ("--label", NASTY, "")}),
    no_dockerd=({}, {"without": ("dockerd", "clock", "info")}),
)
def test_a_transaction_is_read_by_sh(wanted: dict[str, Json], given: dict[str, Any]) -> None:
    assert read_by_sh(made(wanted, **given)) == ""


@table(
    "value",
    nasty=NASTY,
    empty="",
    an_option="-n",
    unicode="gr\u00fc\u00df \u2028",
    number=60,
)
def test_a_variable_of_a_script_holds_its_value_to_the_byte(value: str | int) -> None:
    text = script(first=value, second="behind")

    assert variable(text, "first") == str(value)
    assert variable(text, "second") == "behind"


@table(
    "text, expected",
    none=(None, "-"),
    empty=("", ""),
    unicode=("gr\u00fc\u00df\n", "Z3LDvMOfCg=="),
)
def test_text_is_encoded_so_that_none_and_empty_differ(text: str | None, expected: str) -> None:
    assert encoded(text) == expected


def test_the_file_is_written_only_if_it_is_still_the_one_the_plan_was_made_from() -> None:
    text = '{"mtu": 1}'

    assert variable(made(RUNTIME, daemon_json=text), "expect_sha256") == digest(text)
    assert variable(made(RUNTIME), "expect_sha256") == "absent"


def test_the_new_file_goes_over_as_it_is_written() -> None:
    before = '{\r\n\t"bip": "gr\u00fc\u00df \\u00e4"\r\n}'

    text = made({"live-restore": True}, daemon_json=before)

    after_text = base64.b64decode(variable(text, "after_b64")).decode()
    assert after_text == '{\r\n\t"bip": "gr\u00fc\u00df \\u00e4",\r\n\t"live-restore": true\r\n}'
    assert variable(text, "neutral_b64") == "-"


def test_a_file_that_goes_away_is_no_file_and_not_an_empty_one() -> None:
    text = made({}, **after(plan_daemon_json(node(), RUNTIME)))

    assert variable(text, "after_b64") == "-"
    assert decoded(text, "neutral_b64") == {"runtimes": {}}


@table(
    "wanted, expected",
    still_the_default=({"debug": True}, [["runsc", RUNSC["path"]]]),
    the_new_default=({"default-runtime": "net"}, [["net", "crun"]]),
    no_default_any_more=({"default-runtime": "runc"}, []),
    changed=({"default-runtime": "runc", "runtimes": {"net": {"path": "/new"}}}, [["net", "/new"]]),
    with_all_its_flags=(
        {"runtimes": {"runsc": {"path": "/a b", "runtimeArgs": ["--x", NASTY, ""]}}},
        [["runsc", "/a b", "--x", NASTY, ""]],
    ),
)
def test_only_a_runtime_of_ours_that_changes_or_is_the_default_has_to_work(
    wanted: dict[str, Json], expected: list[list[str]]
) -> None:
    had: dict[str, Any] = {"runsc": RUNSC, "net": {"path": "crun"}}
    before: dict[str, Json] = {"runtimes": had, "default-runtime": "runsc"}
    runtimes = had | cast("dict[str, Any]", wanted.get("runtimes", {}))
    theirs = '{"runtimes": {"kata": {"path": "/k"}, "shim": {"runtimeType": "x"}}}'
    installed = after(plan_daemon_json(node(daemon_json=theirs), before))

    text = made({**before, **wanted, "runtimes": runtimes}, **installed)

    assert asked(text) == expected
    said = " ".join(f"{name}={entry['path']}" for name, entry in runtimes.items())
    assert variable(text, "runtimes") == said


@table(
    "wanted, before, expected",
    off=({"live-restore": False}, None, "false"),
    not_said=({"debug": True}, None, ""),
    not_said_after_a_restart=(PROXY_OFF, None, "false"),
    somebody_elses_after_a_restart=(PROXY_OFF, '{"live-restore": true}', "true"),
)
def test_the_live_restore_to_look_for_is_that_of_the_file_and_off_after_a_restart_without_it(
    wanted: dict[str, Json], before: str | None, expected: str
) -> None:
    assert variable(made(wanted, daemon_json=before), "live_restore") == expected


def test_a_run_that_dies_in_between_loses_no_claim() -> None:
    wanted: dict[str, Json] = {"debug": True, "log-opts": {"env": "1"}}
    installed = after(plan_daemon_json(node(daemon_json='{"mtu": 1}'), wanted))

    text = made(RUNTIME, **installed)

    claim = Owned.load(decoded(text, "intent_b64"))
    ours = {"/debug", "/log-opts/env", "/runtimes/runsc"}
    assert set(claim.paths) == {*ours, "/live-restore"}  # going back may switch it on
    assert set(claim.parents) == {"/log-opts", "/runtimes"}
    assert claim.original == '{"mtu": 1}'
    assert set(decoded(text, "owned_b64")["paths"]) == {"/runtimes/runsc"}


def test_records_hold_one_line_each() -> None:
    text = made({"bip": "a\nb"}, daemon_json='{\n"data-root": "/x\\ud800"}')

    for name in ("intent_b64", "owned_b64", "applied_b64"):
        record = base64.b64decode(variable(text, name)).decode()
        assert record.count("\n") == 1
        assert record.endswith("}\n")
    applied = decoded(text, "applied_b64")
    assert applied["dockerd"] == "@DOCKERD@"
    assert applied["started_with"]["bip"] == "a\nb"


@table("flags", debians_unit=UNIT_FLAGS, none=(), nasty=("--label", NASTY, "", "--x=*"))
def test_dockerd_checks_the_file_together_with_its_own_flags(flags: tuple[str, ...]) -> None:
    head = made({}, flags=flags).split("#!/bin/sh")[0]
    stub = "program=shown; shown() { printf '%s\\0' \"$@\"; }\n"

    shown = run(f'{head}{stub}validate_file "/a b"')

    assert shown.stdout.split("\0")[:-1] == ["--validate", *flags, "--config-file", "/a b"]


def test_what_dockerd_says_of_the_file_or_its_flags_is_passed_on_without_secrets(
    tmp_path: Path,
) -> None:
    flags = (*UNIT_FLAGS, "--storage-opt", "a.password=hunter2-flag")
    before = json.dumps({"proxies": {"http-proxy": "http://u:hunter2-old@p"}})
    wanted: dict[str, Json] = {"proxies": {"http-proxy": "http://u:hunter2-new@p"}}
    text = made(wanted, daemon_json=before, flags=flags)
    function = "masked() {" + text.split("\nmasked() {", 1)[1].split("\n", 1)[0] + "\n"
    said = "failed to use http://u:hunter2-new@p instead of hunter2-old, and hunter2-flag"

    (tmp_path / "hide").write_text(f"{variable(text, 'hide')}\n")

    ran = run(f"work={tmp_path}\n{function}echo '{said}' | masked")

    assert ran.stdout == "failed to use http://***@p instead of ***, and ***\n"
    assert text.count("| masked |") == text.count("$(service_log ") + text.count('/said" | masked')


LIVE: dict[str, Json] = {"live-restore": True}
SWITCHED = ("on", "off", "old_on", "old_off")


def switched(text: str) -> dict[str, Json]:
    """The files that live-restore is switched on and off with."""
    there = [name for name in SWITCHED if variable(text, f"{name}_b64") != "-"]
    return {name: decoded(text, f"{name}_b64") for name in there}


@table("before", file={"mtu": 1}, no_file={})
def test_a_new_file_without_live_restore_is_started_with_it_on_then_off(before: Data) -> None:
    on, off = LIVE, {"live-restore": False}

    found = switched(made(PROXY_OFF, daemon_json=json.dumps(before) if before else None))

    assert found == {
        "on": before | PROXY_OFF | on,
        "off": before | PROXY_OFF | off,
        "old_on": before | on,
        "old_off": before | off,
    }


@table(
    "wanted, restart, before, there",
    new_has_it=({**PROXY_OFF, **LIVE}, "auto", '{"mtu": 1}', {"old_on", "old_off"}),
    old_has_it=(
        {**PROXY_OFF, "live-restore": False},
        "auto",
        '{"live-restore": true}',
        {"on", "off"},
    ),
    both_have_it=(PROXY_OFF, "auto", '{"live-restore": true}', set()),
    both_have_it_off=(PROXY_OFF, "auto", '{"live-restore": false}', {*SWITCHED}),
    only_the_way_back_may_need_a_restart=(RUNTIME, "auto", None, {"old_on", "old_off"}),
    nor_does_one_that_is_owed=(PROXY_OFF, "reload", None, {"old_on", "old_off"}),
)
def test_a_file_that_has_live_restore_on_is_started_with_as_it_is(
    wanted: dict[str, Json], restart: Restart, before: str | None, there: set[str]
) -> None:
    assert switched(made(wanted, restart, daemon_json=before)).keys() == there


def test_where_the_file_may_not_switch_it_live_restore_is_left_alone() -> None:
    text = made(PROXY_OFF, docker=info(swarm="active"))

    assert switched(text) == {}
    assert decoded(text, "intent_b64")["paths"].keys() == {"/userland-proxy"}
    assert (variable(text, "can_live_restore"), variable(text, "live_restore")) == ("no", "")


@table(
    "wanted, before, was",
    going_back_may_restart=(RUNTIME, None, None),
    somebody_has_it_off=(PROXY_OFF, '{"live-restore": false}', "false"),
    wanted=(LIVE, '{"live-restore" : false}', "false"),
)
def test_what_live_restore_is_switched_to_on_the_way_is_known_as_ours(
    wanted: dict[str, Json], before: str | None, was: str | None
) -> None:
    claim = Owned.load(decoded(made(wanted, daemon_json=before), "intent_b64"))

    mine = claim.paths["/live-restore"]
    assert mine.has_written(value=True)
    assert mine.has_written(value=False)
    assert mine.before == was
    assert claim.unfinished


@pytest.mark.parametrize("state", ["on", "off"])
def test_a_removal_after_a_change_that_died_on_the_way_gives_the_original_back(state: str) -> None:
    original = '{"mtu": 1}'
    text = made(PROXY_OFF, daemon_json=original)
    there = base64.b64decode(variable(text, f"{state}_b64"))
    record = decoded(text, "intent_b64")

    removed = plan_daemon_json(
        node(daemon_json=there, mtime_s=LATER_S, state={"owned": record}), {}
    )

    assert (removed.after, removed.left) == (original, ())


def test_every_transaction_has_a_name_of_its_own() -> None:
    assert variable(made(LIVE), "id") != variable(made(LIVE), "id")
