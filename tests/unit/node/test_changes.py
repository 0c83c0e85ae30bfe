"""Who changed a node: written down by the node, read and told in one line."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.node.changes import Change, author, members, parse_changes, settings_digest
from tests.table import table
from tests.unit.settings.loaded_settings import good
from tests.unit.shells import replaced, run, stub, toolbox

WHO = {"controller": "ctl", "user": "ann", "package": "1.2.0", "settings": "0123456789ab"}
BEFORE = '{"at":"2026-10-01T10:00:00Z","what":"egress.rules: apply"}'


def record(
    root: Path,
    body: str = "record_change 'egress.rules: remove'",
    *,
    journal: Path = Path("/nonexistent"),
    **stubs: str,
) -> str:
    """
    What the script complains of on a node whose records are in ``root``.

    + journal: the socket of the node's journal
    + stubs: programs that the node has, with their text
    """
    text = script("node/record_change", state_dir=root / "state", by=members(WHO)) + body
    programs = root / "bin"
    if not programs.exists():
        toolbox(programs, "tail")
    for name, does in stubs.items():
        stub(programs, name, does)
    ran = run(replaced(text, {"/dev/log": journal}), path=programs)
    assert ran.returncode == 0
    return ran.stderr


def kept(root: Path) -> tuple[Change, ...]:
    """The changes in the node's list."""
    return parse_changes((root / "state" / "changes").read_text().splitlines())


def test_a_change_is_written_down_with_who_makes_it(tmp_path: Path) -> None:
    assert record(tmp_path) == ""

    (change,) = kept(tmp_path)
    assert change.model_dump(exclude={"at"}) == {**WHO, "what": "egress.rules: remove"}
    assert change.line == (
        f"{change.at[:10]} {change.at[11:16]} UTC by ann@ctl, pyinfra-gvisor 1.2.0, settings "
        "0123456789ab: egress.rules: remove"
    )
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_the_newest_hundred_are_kept_oldest_first_and_a_list_that_cannot_be_written_stays(
    tmp_path: Path,
) -> None:
    changes = tmp_path / "state" / "changes"
    changes.with_suffix(".new").mkdir(parents=True)
    changes.write_text(f"{BEFORE}\n" * 120)
    said = record(tmp_path, "record_change x; : > $state_dir/done")
    unwritten, done = changes.read_text(), (tmp_path / "state" / "done").exists()
    changes.with_suffix(".new").rmdir()

    record(tmp_path)

    assert said.endswith(f"cannot write {changes}\n")
    assert (unwritten, done) == (f"{BEFORE}\n" * 120, True), "no change is stopped"
    assert len(kept(tmp_path)) == 100
    last = [item.what for item in kept(tmp_path)][-2:]
    assert last == ["egress.rules: apply", "egress.rules: remove"]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A socket at which nobody reads."""
    monkeypatch.chdir(tmp_path)  # the path of a socket is short: unix(7)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("log")
        yield tmp_path / "log"


@table(
    "stubs, said",
    refuses=({"logger": "echo no journal >&2; exit 1"}, "no journal\n"),
    hangs=({"timeout": 'echo "$*" >&2; exit 124'}, '5 logger -t pyinfra-gvisor -- {"at":'),
)
def test_a_journal_that_refuses_or_hangs_stops_no_change(
    tmp_path: Path, journal: Path, stubs: dict[str, str], said: str
) -> None:
    assert record(tmp_path, journal=journal, **stubs).startswith(said)

    assert [item.what for item in kept(tmp_path)] == ["egress.rules: remove"]


@pytest.mark.parametrize("line", ["", "{", "[]", '{"at":1}', "null"])
def test_a_damaged_line_is_left_out(line: str) -> None:
    assert [item.what for item in parse_changes([line, BEFORE])] == ["egress.rules: apply"]


def test_the_author_is_who_runs_pyinfra_and_who_became_root_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUDO_USER", 'ann"\n')

    found = author("0123456789ab")

    assert found["user"].endswith(' (sudo by ann"\n)')
    assert json.loads(f"{{{members(found)}}}") == found
    assert "\n" not in members(found)
    assert "\n" not in Change(at="", what="", **found).line


def test_equal_settings_have_one_digest_and_a_secret_is_no_part_of_it() -> None:
    def digest(**data: object) -> str:
        return settings_digest(good(**data).model_dump(mode="json"))

    log = {"log-opts": {"splunk-token": "one"}}

    assert digest() == digest(gvisor_egress=None)
    assert digest() != digest(gvisor_egress={})
    assert digest(gvisor_daemon_json=log) == digest(
        gvisor_daemon_json={"log-opts": {"splunk-token": "two"}}
    )
