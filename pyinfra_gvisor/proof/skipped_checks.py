"""Why checks of the proof do not apply, as far as that is known before the probe."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText
from pyinfra_gvisor.daemon_json.effective import SHOWN, in_force, known, read_keys
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import same
from pyinfra_gvisor.daemon_json.reload import lost_at_reload, unloadable
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.proof.every import proofs_of_parts
from pyinfra_gvisor.proof.part import NOT_WHILE_TRIED, Declared
from pyinfra_gvisor.settings import Settings


def no_new_privileges(settings: Settings) -> bool | None:
    """
    Return whether the proof must see no-new-privileges on.

    False: the operator switched it off. None: it is not declared, or dockerd is not restarted for
    it (``gvisor_restart = "reload"``).
    """
    if settings.restart == "reload":
        return None
    return _truth(settings.wanted_daemon_json().get("no-new-privileges"))


def skipped_checks(
    node: Node, *, wanted: bool | None, no_reload: str | None, declared: Declared
) -> dict[str, str]:
    """
    Return why checks do not apply, by id.

    + wanted: whether no-new-privileges must be on; None: only if the running dockerd has it on
    + no_reload: why dockerd must not be reloaded; None if it may
    + declared: the settings whose parts the proof must see working; None for no part
    """
    found = _of_parts(declared, is_trial=no_reload == NOT_WHILE_TRIED)
    if wanted is False:
        found["no-new-privs"] = "no-new-privileges is switched off in gvisor_daemon_json"
    elif wanted is None and not _has(node, "no-new-privileges"):
        found["no-new-privs"] = "the running dockerd does not have no-new-privileges"
    if _has(node, "userns"):
        found["docker-socket"] = "with userns-remap, runc cannot open Docker's socket either"
    if no_reload:
        found["reload"] = no_reload
    return found


def _of_parts(declared: Declared, *, is_trial: bool) -> dict[str, str]:
    """Return the same for checks of parts. While a release is only tried, parts may be missing."""
    parts = proofs_of_parts().values()
    if is_trial:
        return {check.id: NOT_WHILE_TRIED for part in parts for check in part.checks}
    return {check: why for part in parts for check, why in part.skipped(declared).items()}


def why_not_reload(node: Node) -> str | None:
    """
    Return why a reload could change something: dockerd loses something by any reload, or has not
    read the current daemon.json, or that is not known. None if a reload changes nothing.
    """
    if refused := unloadable(node):
        return refused
    if lost := lost_at_reload(node):
        return lost
    text = node.daemon_json.text
    if node.info is None or text is None:
        return "there is no daemon.json"
    if node.pending:
        return "a change of daemon.json was interrupted"
    try:
        value: Mapping[str, Json] = JsonText(text).value
        read = known(node, Force.RELOAD)
    except Problem:
        return "daemon.json cannot be read"
    if read is None:
        return "it is not known whether dockerd has read this daemon.json"
    shown = all(in_force(node, path, entry) for path, entry in _shown(value))
    if not shown or not same(dict(read), read_keys(value, Force.RELOAD)):
        return "dockerd has not read daemon.json since the file changed"
    return None


def _shown(value: Mapping[str, Json]) -> list[tuple[tuple[str, ...], Json]]:
    """Return the values of the file that dockerd shows in ``docker info``, each runtime alone."""
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
