"""Every fact can be printed by ``pyinfra INVENTORY fact pyinfra_gvisor.facts.MODULE.CLASS``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from pyinfra.api import FactBase

from pyinfra_gvisor import facts
from tests.cases import cli
from tests.cases.kept import generations, users
from tests.cases.proven import RELEASE, proven, proven_answer
from tests.unit.answers import END
from tests.unit.audit.audited import app
from tests.unit.coolify.coolify_answers import answer as coolify_answer
from tests.unit.coolify.coolify_answers import container, patched
from tests.unit.dispatch.infrastructure import container as container_of
from tests.unit.dispatch.infrastructure import image, pulled_lines

WRAPPER = f"/opt/gvisor/runtimes/runsc-{RELEASE}-0a1b2c3d"
# By the last line of its answer, which is in the script too.
ANSWERS: dict[str, Sequence[str]] = {
    "node.NodeState": proven_answer(),
    "audit.AuditState": [*proven_answer()[:-1], *app().lines(), END],
    "coolify.CoolifyState": coolify_answer(container(), *patched()),
    "generations.Generations": generations({}, proven()).stdout,
    "changes.Changes": ['{"at":"2026-10-01T10:00:00Z","what":"watch"}', "end of changes"],
    "users.RuntimeUsers": users(("web", True, "runsc"), ("old", False, "runc")).stdout,
    "release_users.ReleaseUsers": [WRAPPER, "end of release users"],
    "images.Images": pulled_lines(image(), container_of()),
}


def every_fact() -> list[str]:
    """The facts of this package, as they are named behind ``pyinfra_gvisor.facts.``."""
    names = []
    for module in iter_modules(facts.__path__):
        there = vars(import_module(f"pyinfra_gvisor.facts.{module.name}"))
        names += [
            f"{module.name}.{name}"
            for name, item in there.items()
            if isinstance(item, type) and issubclass(item, FactBase)
            if item.__module__.endswith(f".facts.{module.name}")
        ]
    return names


def printed(name: str, directory: Path, *flags: str) -> Any:
    """What is printed of a fact as JSON."""
    told = list(ANSWERS[name])
    host = {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": {told[-1]: told}}
    (directory / "run.py").write_text(cli.inventory(run={"a": host}))

    ran = cli.pyinfra(directory, "run.py", "fact", f"pyinfra_gvisor.facts.{name}", *flags)

    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "could not" not in ran.stderr.lower()
    return ran


def test_every_fact_is_asked_here() -> None:
    assert set(every_fact()) == set(ANSWERS)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_fact_is_printed_for_people_and_for_programs(name: str, tmp_path: Path) -> None:
    shown = printed(name, tmp_path)
    document = json.loads(printed(name, tmp_path, "--json").stdout)

    assert "@fake/a" in shown.stderr
    (found,) = (value["@fake/a"] for value in document.values())
    assert found
    assert "pyinfra_gvisor" not in json.dumps(found)  # an object that prints itself by its class
