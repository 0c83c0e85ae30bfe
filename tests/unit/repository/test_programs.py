"""What the docs say of real programs: the table itself is tested with the others."""

import json
from typing import Any

from tests.programs.rows import RECORD, programs

SEEN: list[dict[str, Any]] = json.loads(RECORD.read_text())["programs"]


def test_what_a_trial_says_to_work_works() -> None:
    works = [item for item in SEEN if item["tried"].startswith("works")]

    assert [item["name"] for item in works if item["true"] != "works"] == []


def test_what_a_trial_says_to_fail_fails() -> None:
    fails = [item for item in SEEN if item["tried"] == "fails here"]

    assert [item["name"] for item in fails if item["true"] != "fails"] == []


def test_every_program_was_tried_and_few_are_not_known() -> None:
    unknown = [item for item in SEEN if item["tried"] == "not known"]

    assert [item["name"] for item in SEEN] == [program.name for program in programs()]
    assert len(SEEN) >= 25
    assert len(unknown) * 3 <= len(SEEN)
