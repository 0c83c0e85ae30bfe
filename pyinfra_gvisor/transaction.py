"""The script that carries a ``Plan`` out on the node."""

from __future__ import annotations

import shlex

from pyinfra_gvisor.json_text import JsonText, from_pointer
from pyinfra_gvisor.merge import EMPTY, Owned, digest, intent
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.plan import Plan, dump
from pyinfra_gvisor.scripts import encoded, script

KEEP_GENERATIONS = 10


def transaction(plan: Plan, node: Node, *, host: str, timeout_s: int, wait_s: int) -> str:
    """
    One shell script: write, bring into force, look, or put everything back.

    + host: the node's name in messages
    + timeout_s: seconds within which dockerd must be as declared
    + wait_s: seconds to wait for ``--rm`` containers before a restart
    """
    value = {} if plan.after is None else JsonText(plan.after).value
    runtimes = _runtimes(value.get("runtimes"), plan.owned)
    live_restore = value.get("live-restore")
    claim = intent(Owned.load(node.state), plan.owned, plan.before, plan.neutral)
    applied = {
        "dockerd": "@DOCKERD@",
        "sha256": digest(plan.after),
        "started_with": plan.started_with,
        "loaded": plan.loaded,
    }
    return _validate_function(node) + script(
        "dockerd",
        "apply_daemon_json",
        host=host,
        file=DAEMON_JSON,
        state_dir=STATE_DIR,
        expect_sha256=node.daemon_json.sha256 or "absent",
        action=plan.action.name.lower(),
        after_b64=encoded(plan.after),
        neutral_b64=encoded(plan.neutral),
        survive_b64=encoded(_with_live_restore(plan.before, on=True)),
        survived_b64=encoded(_with_live_restore(plan.before, on=False)),
        intent_b64=encoded(dump(claim.model_dump())),
        owned_b64=encoded(dump(plan.owned.model_dump())),
        applied_b64=encoded(dump(applied)),
        runtimes=" ".join(f"{name}={path}" for name, path in runtimes.items()),
        executables=" ".join(path for path in runtimes.values() if path.startswith("/")),
        live_restore="" if live_restore is None else str(live_restore).lower(),
        timeout_s=timeout_s,
        wait_s=wait_s,
        keep=KEEP_GENERATIONS,
    )


def _with_live_restore(before: str | None, *, on: bool) -> str | None:
    """
    The previous file, with live-restore switched on or off; None if it has live-restore anyway.

    For going back by a restart without ending containers: started with it on, then switched off.
    """
    document = JsonText(EMPTY if before is None else before)
    if document.value.get("live-restore") is True:
        return None
    return document.set(("live-restore",), on).text


def _runtimes(value: object, owned: Owned) -> dict[str, str]:
    """The runtimes of ours that must be registered afterwards, with their paths."""
    ours = {
        path[1]
        for path in map(from_pointer, owned.paths)
        if path[0] == "runtimes" and len(path) > 1
    }
    entries = value.items() if isinstance(value, dict) else ()
    return {name: str(entry["path"]) for name, entry in entries if name in ours and "path" in entry}


def _validate_function(node: Node) -> str:
    """dockerd checks the file together with its own flags, or it would miss their conflicts."""
    flags = shlex.join(node.dockerd.arguments) if node.dockerd else ""
    return f'validate_file() {{ dockerd --validate --config-file "$1" {flags}; }}\n'
