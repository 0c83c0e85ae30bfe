"""When a check of the proof does not apply, as far as that is known without looking at probes."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.daemon_json.in_force import SHOWN, in_force, known, read_keys
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import same
from pyinfra_gvisor.daemon_json.text import Json, JsonText
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.proof.part import NOT_WHILE_TRIED, Declared, proofs_of_parts
from pyinfra_gvisor.settings import Settings


def no_new_privileges(settings: Settings) -> bool | None:
    """
    Whether no-new-privileges has to be in force.

    False: the operator has given it up. None: it is not ours to say, or a restart may stay owed.
    """
    if settings.restart == "reload":
        return None
    return _truth(settings.wanted_daemon_json().get("no-new-privileges"))


def spared(
    node: Node, *, wanted: bool | None, no_reload: str | None, declared: Declared
) -> dict[str, str]:
    """
    Why checks do not apply, by id.

    + wanted: whether no-new-privileges has to be in force; None: if the daemon says that it is
    + no_reload: why dockerd is not to be reloaded
    + declared: the settings whose parts are to be seen at work; None: none is
    """
    found = _of_parts(declared, is_trial=no_reload == NOT_WHILE_TRIED)
    if wanted is False:
        found["no-new-privs"] = "no-new-privileges is given up in gvisor_daemon_json"
    elif wanted is None and not _has(node, "no-new-privileges"):
        found["no-new-privs"] = "the running dockerd does not have no-new-privileges"
    if _has(node, "userns"):
        found["docker-socket"] = "with userns-remap not even runc may open Docker's socket"
    if no_reload:
        found["reload"] = no_reload
    return found


def _of_parts(declared: Declared, *, is_trial: bool) -> dict[str, str]:
    """Where a release is only tried, what is declared of parts may not be there yet."""
    parts = proofs_of_parts().values()
    if is_trial:
        return {check.id: NOT_WHILE_TRIED for part in parts for check in part.checks}
    return {check: why for part in parts for check, why in part.spared(declared).items()}


def why_not_reload(node: Node) -> str | None:
    """
    Why a reload could change something: dockerd has not read daemon.json as it lies there, or
    nobody knows. None if it has.
    """
    text = node.daemon_json.text
    if node.info is None or text is None:
        return "there is no daemon.json that dockerd could have read"
    if node.pending:
        return "a change of daemon.json is not over"
    try:
        value: Mapping[str, Json] = JsonText(text).value
        read = known(node, Force.RELOAD)
    except Problem:
        return "daemon.json cannot be read"
    if read is None:
        return "it is not known whether dockerd has read daemon.json as it is"
    shown = all(in_force(node, path, entry) for path, entry in _shown(value))
    if not shown or not same(dict(read), read_keys(value, Force.RELOAD)):
        return "dockerd has not read daemon.json as it is now"
    return None


def _shown(value: Mapping[str, Json]) -> list[tuple[tuple[str, ...], Json]]:
    """What of the file the daemon shows itself, each runtime for itself."""
    entries = value.get("runtimes")
    runtimes = entries if isinstance(entries, dict) else {}
    return [((key,), value[key]) for key in SHOWN if key in value and key != "runtimes"] + [
        (("runtimes", name), entry) for name, entry in runtimes.items()
    ]


def _has(node: Node, option: str) -> bool:
    """Return True if the running dockerd has this security option: ``docker info``."""
    options = () if node.info is None else node.info.security_options
    return f"name={option}" in options


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
