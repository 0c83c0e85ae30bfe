"""The script that applies a ``Plan`` on the node."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from pyinfra_gvisor.base.json_text import EMPTY, Json, JsonText, from_pointer
from pyinfra_gvisor.base.redaction import secrets_in, secrets_in_words, sed_program
from pyinfra_gvisor.base.scripts import encoded, program, script
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import GVISOR, Owned, OwnedPath, digest, intent
from pyinfra_gvisor.daemon_json.plan import Plan, dump
from pyinfra_gvisor.daemon_json.reach import uses_nftables
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.daemon_json.reload import reloadable
from pyinfra_gvisor.daemon_json.service import service_script
from pyinfra_gvisor.daemon_json.shared_lists import asking_plugins
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.node.records import VERSIONS

END = "# the end"
_KEEPING = ("base/holder", "node/record_change", "daemon_json/journal")
_WATCHING = (
    *("daemon_json/dockerd", "daemon_json/plugins", "daemon_json/runtime_scripts"),
    *("daemon_json/runtime_users", "daemon_json/ports", "daemon_json/reach"),
)
KEEP_GENERATIONS = 10
BUILTIN_PROFILES = ("builtin", "unconfined", "")  # docs.docker.com/engine/security/seccomp


def transaction(plan: Plan, node: Node, *, host: str, timeout_s: int, wait_s: int) -> str:
    """
    Return one shell script that writes the file, applies it and checks dockerd, or rolls back.

    + host: the node's name in messages
    + timeout_s: seconds within which dockerd must run as declared
    + wait_s: seconds to wait for ``--rm`` containers before a restart
    """
    value = {} if plan.after is None else JsonText(plan.after).value
    return _checks(node, plan, value) + script(
        service_script(node),
        *_KEEPING,
        *_WATCHING,
        "daemon_json/apply",
        id=uuid4().hex,
        host=host,
        file=DAEMON_JSON,
        state_dir=STATE_DIR,
        unit=node.supervisor.unit,
        expect_sha256=node.daemon_json.sha256 or "absent",
        action=plan.action.name.lower(),
        seccomp=_seccomp_file(value.get("seccomp-profile")),
        can_live_restore="yes" if plan.live_restore else "no",
        firewall="nftables" if uses_nftables(node) else "iptables",
        timeout_s=timeout_s,
        wait_s=wait_s,
        keep=KEEP_GENERATIONS,
        temporary="yes" if plan.temporary else "no",
        reach_program=program("daemon_json/reach.pl"),
        **asking_plugins(plan.before, plan.after),
        hide=sed_program(_secrets(plan, node)),
        **_proxy(plan),
        **_files(plan, node),
        **_records(plan, node),
        **_declared(plan, value),
    )


def _proxy(plan: Plan) -> dict[str, str]:
    """
    Return whether this restart ends docker-proxy, and the ports that are lost with it.

    A line has protocol, version of IP and port, and the container if only containers lose the port.
    """
    lost = plan.lost if plan.action is Force.RESTART else None
    lines = [
        f"{item.port.protocol} {item.port.version} {item.port.port}{container}"
        for item in lost or ()
        for container in [f" {name}" for name in item.containers] or [""]
    ]
    return {"proxy_ends": "no" if lost is None else "yes", "given_up": "\n".join(lines)}


def detached(text: str) -> tuple[str, str]:
    """Return the script that runs ``text`` detached from its session, and that script's stdin."""
    return script("daemon_json/detach", end=END, state_dir=STATE_DIR), f"{text}{END}\n"


def resumption() -> str:
    """Return the script that ends an interrupted transaction by its files on the node."""
    return script("daemon_json/resume", file=DAEMON_JSON, state_dir=STATE_DIR)


def _files(plan: Plan, node: Node) -> dict[str, str]:
    """Return every text that daemon.json may have meanwhile, in base64, and what puts it there."""
    place = {"place_program": program("base/json.pl", "daemon_json/place.pl")}
    return place | {f"{name}_b64": encoded(text) for name, text in _texts(plan, node).items()}


def _texts(plan: Plan, node: Node) -> dict[str, str | None]:
    """Return these texts by name; ``load_…`` is loaded instead of a text that dockerd refuses."""
    passing = {"neutral": plan.neutral, "old_neutral": plan.back, **_passing(plan)}
    return {
        "after": plan.after,
        "load_after": reloadable(node, plan.after),
        "load_old": reloadable(node, plan.before),
        **{name: reloadable(node, text) or text for name, text in passing.items()},
    }


def _passing(plan: Plan) -> dict[str, str | None]:
    """Return the texts with live-restore switched on or off for the time of a restart."""
    bridge = plan.action is Force.RESTART and plan.live_restore
    return {
        "on": _with_live_restore(plan.after, on=True) if bridge else None,
        "off": _with_live_restore(plan.after, on=False) if bridge else None,
        # a rollback may need a restart even if the change did not: dockerd may have died
        "old_on": _with_live_restore(plan.before, on=True) if plan.live_restore else None,
        "old_off": _with_live_restore(plan.before, on=False) if plan.live_restore else None,
    }


def _with_live_restore(text: str | None, *, on: bool) -> str | None:
    """
    Return the file with live-restore switched on or off; None if the file has live-restore on.

    So a restart ends no container: start with live-restore on, switch it off, remove the key.
    """
    document = JsonText(EMPTY if text is None else text)
    if document.value.get("live-restore") is True:
        return None
    return document.set(("live-restore",), on).text


def _records(plan: Plan, node: Node) -> dict[str, str]:
    """Return our records: the one during the change, the one after, and what dockerd has read."""
    texts = (plan.before, *_texts(plan, node).values())
    applied = {
        "version": VERSIONS["applied"],
        "dockerd": "@DOCKERD@",
        "sha256": digest(plan.after),
        "started_with": plan.started_with,
        "loaded": plan.loaded,
        "generation": plan.generation,
        "rollout": plan.rollout,
    }
    records = {
        "intent": _claim(plan, owned_by_us(node), *texts).model_dump(),
        "owned": plan.owned.model_dump(),
        "applied": applied,
        # if somebody else has restarted dockerd meanwhile, what it has read is not known
        "applied_anew": {**applied, "started_with": None},
    }
    return {f"{name}_b64": encoded(dump(record)) for name, record in records.items()}


def _claim(plan: Plan, owned: Owned, *texts: str | None) -> Owned:
    """Return the record for the time of the change, with live-restore, which may be switched."""
    claim = intent(owned, plan.owned, *texts)
    if not plan.live_restore:
        return claim
    owners = next((mine.owners for mine in claim.paths.values()), (GVISOR,))
    before = JsonText(EMPTY if plan.before is None else plan.before).raw(("live-restore",))
    mine = claim.paths.get("/live-restore") or OwnedPath(wrote=True, owners=owners, before=before)
    passing = mine.model_copy(update={"earlier": (*mine.earlier, True, False)})
    return claim.model_copy(update={"paths": {**claim.paths, "/live-restore": passing}})


def _declared(plan: Plan, value: Mapping[str, Json]) -> dict[str, str]:
    """Return what must be true before a restart, and what dockerd must show after the change."""
    runtimes = _runtimes(value, plan.owned)
    owned = {from_pointer(name)[0] for name in plan.owned.paths}
    off = "false" if plan.action is Force.RESTART and plan.live_restore else ""
    live_restore = value.get("live-restore")
    return {
        "units_program": program("node/units.pl"),
        "restart_units": f" {' '.join(plan.restart_units)} ",
        "leaving": "\n".join(f",{json.dumps(name, ensure_ascii=False)}]" for name in plan.leaving),
        "runtimes": " ".join(f"{name}={entry['path']}" for name, entry in runtimes.items()),
        "live_restore": off if live_restore is None else str(live_restore).lower(),
        "default_runtime": str(value.get("default-runtime", "runc"))
        if "default-runtime" in owned
        else "",
    }


def _runtimes(value: Mapping[str, Json], owned: Owned) -> dict[str, Any]:
    """Return the runtimes of ours that must be registered after the change."""
    ours = {
        path[1]
        for path in map(from_pointer, owned.paths)
        if path[0] == "runtimes" and len(path) > 1
    }
    entries = value.get("runtimes")
    found = entries.items() if isinstance(entries, dict) else ()
    return {
        name: entry
        for name, entry in found
        if name in ours and isinstance(entry, dict) and "path" in entry
    }


def _secrets(plan: Plan, node: Node) -> set[str]:
    """Return the secrets that dockerd's errors may contain, and that we hide."""
    texts = [text for text in (plan.before, plan.after) if text is not None]
    inside = (secrets_in(JsonText(text).value) for text in texts)
    return set().union(secrets_in_words(node.flags), *inside)


def _seccomp_file(profile: object) -> str:
    """Return the path of the seccomp profile that dockerd reads at its start; empty if built in."""
    return profile if isinstance(profile, str) and profile not in BUILTIN_PROFILES else ""


def _checks(node: Node, plan: Plan, value: Mapping[str, Json]) -> str:
    """
    Return shell functions that check the file and the runtimes before anything is changed.

    dockerd gets its own flags as well; otherwise it would not find conflicts with them.
    """
    running = node.dockerd.arguments if node.dockerd else ()
    flags = shlex.join(running if node.next_arguments is None else node.next_arguments)
    asked = [
        shlex.join(["check_runtime", name, entry["path"], *entry.get("runtimeArgs", ())])
        for name, entry in _asked(plan, value).items()
    ]
    return (
        f'validate_file() {{ "$program" --validate {flags} --config-file "$1"; }}\n'
        f"check_runtimes() {{\n{chr(10).join(asked) or ':'}\n}}\n"
    )


def _asked(plan: Plan, value: Mapping[str, Json]) -> dict[str, Any]:
    """
    Return the runtimes of ours whose programs must work before anything is changed.

    One that stays as it is, and is not the default, may be broken: a rollback away from it has to
    work. Its containers go on, because no restart ends running containers (``refuse_loss``).
    """
    before = {} if plan.before is None else JsonText(plan.before).value
    kept = _runtimes(before, plan.owned)
    return {
        name: entry
        for name, entry in _runtimes(value, plan.owned).items()
        if entry != kept.get(name) or name == value.get("default-runtime")
    }
