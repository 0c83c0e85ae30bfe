"""The daemon.json files of the node test, without a node: refused in words, or planned."""

import re

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.transaction import transaction
from tests.node.bad_files import BadFile, only_labels_added, refused
from tests.node.odd_files import accepted
from tests.unit.answers import node

MESSAGE_LIMIT = 400
FILES = [*refused(), *accepted()]


def outcome(file: BadFile) -> str:
    """What a plan for it says: a problem, or that there is a script."""
    found = node(daemon_json=file.content)
    try:
        plan = plan_daemon_json(found, file.wishes(1), owner="bad")
    except Problem as problem:
        return str(problem)
    transaction(plan, found, host="run-1", timeout_s=20, wait_s=0).encode()
    assert plan.after
    if not file.says and not only_labels_added(file, plan.after.encode(), 1):
        return "more changed than labels"
    return "planned"


def test_every_file_is_refused_in_one_short_printable_line_or_planned() -> None:
    said = {file.name: outcome(file) for file in FILES}

    wrong = {
        file.name: said[file.name][:MESSAGE_LIMIT]
        for file in FILES
        if not re.search(file.says if file.says and not file.late else "^planned$", said[file.name])
        or not said[file.name].isprintable()
        or len(said[file.name]) > MESSAGE_LIMIT
    }
    assert wrong == {}
    assert len(said) == len(FILES) >= 200
