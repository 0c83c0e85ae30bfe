"""What a node keeps of its earlier states, and what it says of its containers."""

import base64
from collections.abc import Mapping
from typing import Any

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.generations import Generation
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.records import owned_by_us
from tests.cases.fleet import Reply
from tests.unit.answers import after, compact, node

UNTIL_S = 1_700_000_000


def generations(*states: Mapping[str, Any]) -> Reply:
    """The answer of a node that was changed in these states, as ``answer`` is given them."""
    lines = []
    for number, state in enumerate(states, start=1):
        lines.append(f"generation {number} {UNTIL_S}")
        files = {"daemon": state.get("daemon_json")}
        for name in ("owned", "applied"):
            if record := state.get("state", {}).get(name):
                files[name] = compact(record)
        lines += [
            f"{name} {number} {base64.b64encode(text.encode()).decode()}"
            for name, text in files.items()
            if text is not None
        ]
    return Reply([*lines, "end of generations"])


def kept_as(state: Mapping[str, Any], number: int = 1) -> Generation:
    """That state as the node keeps it."""
    owned = owned_by_us(node(**state))
    return Generation(number=number, made_s=0, text=state.get("daemon_json"), owned=owned)


def users(*containers: tuple[str, bool, str]) -> Reply:
    """The answer of a node with these containers: name, whether it runs, runtime."""
    lines = [compact([f"/{name}", running, runtime]) for name, running, runtime in containers]
    return Reply([*lines, "end of containers"])


def changed(
    given: Mapping[str, Any], wanted: Mapping[str, Json], owner: str = GVISOR, **more: Any
) -> dict[str, Any]:
    """The node after a change of daemon.json, with all else as it was."""
    return {**given, **after(plan_daemon_json(node(**given), wanted, owner=owner, **more))}
