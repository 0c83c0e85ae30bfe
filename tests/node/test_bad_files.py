"""
daemon.json files on real nodes: a clear error and no change, or what was asked.

``tests/unit/daemon_json/test_bad_files.py`` has those whose text alone is refused. Here are some.
"""

import base64
import json
import re

import pytest

from pyinfra_gvisor.daemon_json.plan import Plan
from tests.node.bad_files import GOOD, BadFile, only_labels_added, refused
from tests.node.file_bench import APPLY, BENCH, READ, Bench, bench, lay_out, planned
from tests.node.odd_files import accepted, no_files
from tests.node.seeing import no_leftovers
from tests.node.transactions import FILE
from tests.node.turns import steps_of_turn
from tests.table import table
from tools.lab import LabNode

pytestmark = pytest.mark.slow

TELLING = {
    *("byte order mark", "comma behind a member", "key twice", "UTF-16, little end first"),
    *("a hundred thousand objects", "debug of a wrong type, 1", "unknown key", "runc anew"),
    *("line ends of Windows", "link", "of another user", "mode 0000"),
    *("a megabyte of keys", "labels of others", "hosts beside -H", "seccomp file missing"),
    *("number without end in no option", "ours: path missing", "ours: runsc flag misspelt"),
}
# What a node does with others, too; tests/unit shows that each keeps its bytes.
ALIKE = {
    *("a megabyte of space", "a megabyte in one string", "many line ends", "no line end", "tabs"),
    *("line ends of both kinds", "one line", "keys backwards", "empty object in space"),
    *("relative link", "link to a link", "pair of surrogates", "bracket on the next line"),
    *("no space at all", "empty object", "mode 0777", "white space", "labels that are null"),
}
MOUNTED = BadFile(
    "mounted",
    GOOD.encode(),
    "(?i)busy|mount",
    late=True,
    place='cp "$1" "$2"; mount --bind "$2" "$2"',
)
FILES = [
    *(file for file in refused() if file.late or file.name in TELLING),
    *no_files(),
    *(file for file in accepted() if file.name not in ALIKE),
    MOUNTED,
]
# What only dockerd can tell, and one that it accepts. 20.10 cannot be asked beforehand, and refuses
# the old file as it refuses the new one: the last one is never loaded.
ASKED = ("labels of others", "seccomp file missing", "ours: path missing", "hosts beside -H")
OLD = [file for name in ASKED for file in FILES if file.name == name]


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


@table("name, files", {"26.1": ("plain", steps_of_turn(FILES)), "20.10": ("docker-20", OLD)})
def test_a_file_is_refused_as_it_is_or_gets_our_key_and_nothing_else(
    faulty: dict[str, LabNode], name: str, files: list[BadFile]
) -> None:
    node = faulty[name]
    before = node.exec("sha256sum", FILE).stdout

    with bench(node) as on:
        wrong = try_out(on, files)

    assert wrong == {}
    assert (len(FILES) >= 33, len(OLD)) == (True, len(ASKED))
    assert node.exec("sha256sum", FILE).stdout == before
    assert node.exec("docker", "info").code == 0
    assert no_leftovers(node) == ""
