"""Every write of a change keeps what other programs have written since the change began."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyinfra_gvisor.base.scripts import program
from tests.table import table
from tests.unit.daemon_json.journal_script import Journal

OLD = '{"mtu": 1400}\n'
ON = '{"mtu": 1400, "live-restore": true}\n'
RUNSC = {"path": "/opt/gvisor/runsc"}
AFTER = json.dumps({"mtu": 1400, "runtimes": {"runsc": RUNSC}}) + "\n"
UPLOADS = {"max-concurrent-uploads": 7}
PROGRAM = program("base/json.pl", "daemon_json/place.pl")
NEVER_REFUSED = "accepts() { :; }; refusal() { :; }; note() { say noted; }; "


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A change that is written down, with every text on the way."""
    made = Journal(tmp_path)
    made.file.write_text(OLD)
    made.files = {"after": AFTER, "old_on": ON}
    made.good("write_down; begin")
    return made


def put(journal: Journal, name: str, *, body: str = "", checks: str = NEVER_REFUSED) -> str:
    """Put a text in the place of daemon.json; return what is said."""
    after = "&& say done || say $reason"
    return journal.run(f"work=$pending; {checks} {body} put {name} {after}").stdout.strip()


def written_anew(text: str, **keys: Any) -> str:
    """A file as a program writes it that reads it whole: its own format, and keys of its own."""
    value = {**json.loads(text), **{key.replace("_", "-"): item for key, item in keys.items()}}
    return json.dumps(value, indent=3, sort_keys=True)


@pytest.mark.parametrize("name", ["old", "old_on", "after"])
@pytest.mark.parametrize("read", [OLD, ON, AFTER], ids=["old", "on", "after"])
@pytest.mark.parametrize("anew", [True, False], ids=["whole", "edited"])
def test_a_key_of_another_program_stays_at_every_write(
    journal: Journal, name: str, read: str, anew: bool
) -> None:
    keys = {"max_concurrent_uploads": 7}
    edited = read.replace("{", '{"max-concurrent-uploads": 7, ', 1)
    journal.file.write_text(written_anew(read, **keys) if anew else edited)

    said = put(journal, name)

    ours = json.loads({"old": OLD, "old_on": ON, "after": AFTER}[name])
    assert json.loads(journal.file.read_text()) == {**ours, **UPLOADS}
    assert said in ("done", "noted\ndone")


def test_only_what_this_change_sets_is_changed_in_the_text_of_others(journal: Journal) -> None:
    theirs = b'{\n\t"b":[1,\n2],\r\n\t"mtu" : 1400 ,\n\t"live-restore": true\n}'
    journal.file.write_bytes(theirs)

    put(journal, "after")

    ours = json.dumps({"runsc": RUNSC}).encode()
    expected = theirs.replace(b' ,\n\t"live-restore": true', b',\n\t"runtimes": ' + ours)
    assert journal.file.read_bytes() == expected


@table(
    "theirs, name, expected",
    back=({"runtimes": {"kata": {}}}, "old", {"runtimes": {"kata": {}}}),
    beside_ours=({"runtimes": {"runsc": RUNSC, "kata": {}}}, "old", {"runtimes": {"kata": {}}}),
    none_of_theirs=({"runtimes": {"runsc": RUNSC}}, "old", {}),
    theirs_first=({"runtimes": {"kata": {}}}, "after", {"runtimes": {"kata": {}, "runsc": RUNSC}}),
    their_own_key=({"mtu": 9000}, "old", {"mtu": 9000}),
    their_key_removed=({}, "old_on", {"live-restore": True}),
)
def test_entries_of_others_in_an_object_stay(
    journal: Journal, theirs: dict[str, Any], name: str, expected: dict[str, Any]
) -> None:
    journal.file.write_text(json.dumps(theirs))

    put(journal, name)

    assert json.loads(journal.file.read_text()) == expected


@table(
    "theirs, said",
    our_key=(
        '{"live-restore": "no"}',
        "another program has just changed /live-restore, which this change sets",
    ),
    our_object=(
        '{"runtimes": []}',
        "another program has just changed /runtimes, which this change sets",
    ),
    half_written=("{", "another program has left no JSON object in it"),
    comma=('{"a": 1,}', "another program has left no JSON object in it"),
    list=("[]", "another program has left no JSON object in it"),
    empty=("", "another program has left no JSON object in it"),
    twice=('{"a": 1, "a": 2}', "another program has left no JSON"),
)
def test_what_cannot_be_merged_is_left_and_named(journal: Journal, theirs: str, said: str) -> None:
    journal.variables["place_program"] = PROGRAM.replace("$patience_s = 3", "$patience_s = 0.2")
    journal.file.write_text(theirs)

    assert put(journal, "after").startswith(said)
    assert journal.file.read_text() == theirs


def test_going_back_keeps_what_others_have_set_at_a_key_of_ours(journal: Journal) -> None:
    journal.file.write_text('{"live-restore": "no", "runtimes": {"runsc": {}}}')

    put(journal, "old", body="going_back=yes;")

    assert json.loads(journal.file.read_text()) == {"live-restore": "no", "runtimes": {"runsc": {}}}


def test_a_merged_file_that_dockerd_refuses_is_no_success(journal: Journal) -> None:
    journal.file.write_text('{"mtu": 1400, "typo": 1}')
    refused = "accepts() { return 1; }; refusal() { say typo; }; note() { :; };"

    reason = "dockerd refuses the file with what another program has just written: typo"
    assert put(journal, "after", checks=refused) == reason
    assert put(journal, "old", checks=refused, body="going_back=yes;") == "done"
    assert json.loads(journal.file.read_text()) == {"mtu": 1400, "typo": 1}


@pytest.mark.root
@pytest.mark.parametrize("name", ["old", "after"])
def test_a_file_that_somebody_removed_has_only_our_keys(journal: Journal, name: str) -> None:
    journal.file.unlink()

    put(journal, name)

    expected = {"after": {"runtimes": {"runsc": RUNSC}}, "old": None}[name]
    there = journal.file.exists() and json.loads(journal.file.read_text())
    assert there == (expected or False)


@pytest.mark.parametrize("before", [None, '{"runtimes": {"runsc": {}}}'], ids=["none", "ours"])
def test_a_file_that_goes_away_stays_with_the_keys_of_others(
    tmp_path: Path, before: str | None
) -> None:
    journal = Journal(tmp_path)
    journal.files = {"after": None if before else AFTER}
    if before:
        journal.file.write_text(before)
    journal.good("write_down; begin")
    journal.file.write_text(
        json.dumps({"runtimes": {"runsc": RUNSC if not before else {}}} | UPLOADS)
    )

    put(journal, "after" if before else "old")

    assert json.loads(journal.file.read_text()) == UPLOADS


def test_mode_and_owner_are_those_of_the_other_program(journal: Journal) -> None:
    journal.file.write_text(written_anew(OLD, max_concurrent_uploads=7))
    journal.file.chmod(0o640)

    put(journal, "after")

    assert journal.file.stat().st_mode & 0o7777 == 0o640


def test_a_file_that_is_half_written_is_waited_for(journal: Journal) -> None:
    journal.file.write_text("{")
    whole = json.dumps({"mtu": 1400} | UPLOADS)

    said = put(journal, "after", body=f"{{ sleep 0.3; echo '{whole}' > $file; }} & ")

    assert said == "noted\ndone"
    assert json.loads(journal.file.read_text()) == json.loads(AFTER) | UPLOADS


WRITES = {
    "renames": 'spill("$target.x", $theirs); rename "$target.x", $target;',
    "writes-into-it": "spill($target, $theirs);",
}
MOMENTS = {
    "merged": "next if !equal(slurp($target), $theirs);",
    "looked": "my $ours = slurp($next);",
}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("when", MOMENTS)
@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "no-exchange"])
def test_what_is_written_between_the_look_and_the_write_stays(
    journal: Journal, how: str, when: str, exchange: bool
) -> None:
    theirs = written_anew(OLD, max_concurrent_uploads=7)
    spy = f"sub spy {{ my $theirs = q({theirs}) . ' ' x $::n; {WRITES[how]} }}"
    moment = MOMENTS[when]
    program = PROGRAM.replace(moment, f"spy() if $::n++ < 3; {moment}", 1) + spy
    journal.variables["place_program"] = program.replace("? 316", "? 316" if exchange else "? -1")

    assert put(journal, "after") == "noted\ndone"
    assert json.loads(journal.file.read_text()) == json.loads(AFTER) | UPLOADS


NAMES = st.sampled_from(["a", "b", "ü", 'q"\\', "\x01"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text('a"\\{}[],: \n\u2028ü', max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=3), max_size=4)
KINDS = st.sampled_from([{}, {"indent": 2}, {"indent": 4, "ensure_ascii": False}])


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(old=OBJECTS, ours=OBJECTS, theirs=OBJECTS, kind=KINDS)
def test_any_keys_of_others_stay_and_any_of_ours_are_set(
    tmp_path: Path, old: Any, ours: Any, theirs: Any, kind: Any
) -> None:
    staged = tmp_path / "staged"
    staged.mkdir(exist_ok=True)
    (staged / "old").write_text(json.dumps(old))
    (staged / "after").write_text(json.dumps(old | ours))
    target = tmp_path / "target"
    added = {f"their {name}": value for name, value in theirs.items()}
    target.write_text(json.dumps(added | old, **kind))

    for name, expected in (("after", added | old | ours), ("old", added | old)):
        command = ["perl", "-e", PROGRAM, str(staged), str(target), name]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, ""), ran
        assert json.loads(target.read_text()) == expected
