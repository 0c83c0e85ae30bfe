"""What a node tells of its keeper, and of any part that is a timer."""

from collections.abc import Iterable, Sequence
from typing import Any

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.keeper.plan import declared_files, declared_keeps
from tests.unit.planning.test_preflight import settings_of


def timed(part: str, files: Iterable[NodeFile], state: str = "active") -> list[str]:
    """The lines of a node that has these files of a part, and its timer."""
    lines = [f"{part} enabled yes", f"{part} timer {state}"]
    for one in files:
        lines += [f"{part} sum {one.sha256} {one.path}", f"{part} stat {one.mode}:0:0 {one.path}"]
    return lines


def keeping(lines: Sequence[str], **data: Any) -> list[str]:
    """The lines of a node that has the keeper, too, if these data declare one."""
    settings = settings_of(**data)
    if not declared_keeps(settings):
        return [*lines]
    return [*timed("keeper", declared_files(parse_node(list(lines)), settings)), *lines]
