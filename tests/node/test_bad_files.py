"""Hundreds of daemon.json files on real nodes: a clear error and no change, or what was asked."""

from __future__ import annotations

import base64
import json
import re

import pytest

from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.lab import LabNode
from pyinfra_gvisor.node import parse_node
from tests.node.bad_files import GOOD, BadFile, refused
from tests.node.file_bench import APPLY, BENCH, READ, SHELL, Bench, bench, lay_out, planned
from tests.node.odd_files import accepted, no_files
from tests.node.running import no_leftovers
from tests.node.transactions import FILE

pytestmark = pytest.mark.slow

TELLING = {
    *("byte order mark", "comma behind a member", "key twice", "UTF-16, little end first"),
    *("a hundred thousand objects", "debug of a wrong type, 1", "unknown key", "runc anew"),
    *("half a pair", "line ends of Windows", "link", "of another user", "mode 0000"),
    *("a megabyte of keys", "labels of others", "hosts beside -H", "seccomp file missing"),
    *("number without end in no option", "ours: path missing", "ours: runsc flag misspelt"),
}
ALL = [*refused(), *no_files(), *accepted()]
SOME = [file for file in ALL if file.name in TELLING]
# 20.10 cannot be asked beforehand, and refuses the old file as it refuses the new one.
NEVER_LOADED = {"hosts beside -H", "number without end in no option"}
MOUNTED = BadFile(
    "mounted",
    GOOD.encode(),
    "(?i)busy|mount",
    late=True,
    place='cp "$1" "$2"; mount --bind "$2" "$2"',
)


def try_out(on: Bench, files: list[BadFile]) -> dict[str, str]:
    """What is wrong with the outcome of each file, by its name; nothing if all is well."""
    lay_out(on.node, files)
    read = on.sections(READ)
    wrong, plans, scripts = {}, {}, {}
    for number, file in enumerate(files):
        plan, text = planned(on.with_file(read[number]), file, number)
        if plan:
            plans[number] = plan
            scripts[f"{BENCH}/{number:03}/run.sh"] = (text.encode(), 0o600)
        expected = "planned" if file.late or not file.says else file.says
        if "same" not in read[number] or not re.search(expected, "planned" if plan else text):
            wrong[file.name] = f"{'planned' if plan else text[:200]}, expected {expected}"
    on.node.put_files(scripts)
    ran = on.sections(APPLY)
    assert ran.keys() == plans.keys()
    for number, plan in plans.items():
        if problem := fault(files[number], plan, ran[number], number):
            wrong[files[number].name] = problem
    return wrong


def fault(file: BadFile, plan: Plan, ran: dict[str, str], number: int) -> str:
    """What is wrong with how a transaction ended."""
    said = base64.b64decode(ran["said"]).decode()
    text = base64.b64decode(ran["file"])
    told = f"exit {ran['code']}, {said[-300:]}"
    if ran["before"] != ran["after"]:
        return f"{ran['before']} became {ran['after']}"
    if ran["left"].strip():
        return f"left {ran['left']}"
    if file.late:
        clear = re.search(file.says, said) and ran["code"] == "1"
        return told if not clear or text != file.content else ""
    if ran["code"] != "0":
        return told
    if text != (plan.after or "").encode() or not only_labels_added(file, text, number):
        return f"the file is {text[:200]!r}"
    return "" if json.loads(ran["labels"]) == [f"bad={number}"] else f"live: {ran['labels']}"


def shared(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def only_labels_added(file: BadFile, text: bytes, number: int) -> bool:
    """Whether every other byte and every other key is as before."""
    old = file.content
    front = shared(old, text)
    back = shared(old[front:][::-1], text[front:][::-1])
    lost = old[front : len(old) - back].decode(errors="replace")
    expected = {**json.loads(old.strip() or b"{}"), "labels": [f"bad={number}"]}
    return lost in file.lost and json.loads(text) == expected


@pytest.mark.parametrize(
    ("name", "files"),
    [
        pytest.param("plain", ALL, id="26.1"),
        pytest.param("docker-20", [f for f in SOME if f.name not in NEVER_LOADED], id="20.10"),
    ],
)
def test_a_file_is_refused_as_it_is_or_gets_our_key_and_nothing_else(
    faulty: dict[str, LabNode], name: str, files: list[BadFile]
) -> None:
    node = faulty[name]
    before = node.exec("sha256sum", FILE).stdout

    with bench(node) as on:
        wrong = try_out(on, files)

    assert wrong == {}
    assert len(files) >= (200 if files is ALL else 18)
    assert node.exec("sha256sum", FILE).stdout == before
    assert node.exec("docker", "info").code == 0
    assert no_leftovers(node) == ""


def test_the_same_script_run_again_says_so_and_changes_nothing(faulty: dict[str, LabNode]) -> None:
    file, look = BadFile("good", GOOD.encode()), f"stat -c '%i %z' {FILE}; sha256sum {FILE}"
    with bench(faulty["plain"]) as on:
        lay_out(on.node, [file])
        _, text = planned(on.with_file(on.sections(READ)[0]), file, 0)
        on.node.exec("sh", "-c", f"{SHELL} put {BENCH}/000")
        on.node.put("/run/again/run.sh", text.encode())
        first = on.node.exec("sh", "/run/again/run.sh")
        before = on.node.exec("sh", "-c", look).stdout

        second = on.node.exec("sh", "/run/again/run.sh")

        after = on.node.exec("sh", "-c", f"rm -r /run/again; {look}").stdout
    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    assert "this change was already applied" in second.stdout
    assert after == before


def test_every_kind_of_place_is_read_whole(faulty: dict[str, LabNode]) -> None:
    files = [*no_files(), *(file for file in accepted() if file.place != BadFile.place)]
    wrong = {}
    with bench(faulty["plain"]) as on:
        lay_out(on.node, files)
        for number, file in enumerate(files):
            on.node.exec("sh", "-c", f"{SHELL} put {BENCH}/{number:03}")

            plan, said = planned(parse_node(on.full()), file, number)

            if bool(plan) == bool(file.says) or not (plan or re.search(file.says, said)):
                wrong[file.name] = said[:200]
    assert wrong == {}


@pytest.mark.parametrize(
    ("place", "says"),
    [
        pytest.param('mkfifo "$2"', "regular file", id="fifo"),
        pytest.param('mknod "$2" c 1 3', "regular file", id="device"),
        pytest.param(
            'perl -e \'socket(S,1,1,0); bind(S, pack("S a*", 1, $ARGV[0]))\' "$2"',
            "regular file",
            id="socket",
        ),
    ],
)
def test_what_is_no_regular_file_is_named(
    faulty: dict[str, LabNode], place: str, says: str
) -> None:
    with bench(faulty["plain"]) as on:
        lay_out(on.node, [BadFile("no file", b"", says, place=place)])
        on.node.exec("sh", "-c", f"{SHELL} put {BENCH}/000")

        _, said = planned(parse_node(on.full()), BadFile("no file", b""), 0)

    assert says in said


@pytest.mark.parametrize(
    ("name", "files"),
    [
        pytest.param("plain", [MOUNTED], id="bind-mounted"),
        pytest.param(
            "docker-20", [f for f in SOME if f.name == "hosts beside -H"], id="never-loaded-before"
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_over_afterwards(
    faulty: dict[str, LabNode], name: str, files: list[BadFile]
) -> None:
    with bench(faulty[name]) as on:
        wrong = try_out(on, files)

    assert wrong == {}
