"""Record on the node who changes it, with the same command that makes the change."""

from __future__ import annotations

import shlex

from pyinfra import host

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.node import STATE_DIR
from pyinfra_gvisor.node.changes import author, members, settings_digest
from pyinfra_gvisor.settings import load_settings

_DIGEST = "pyinfra_gvisor.settings_digest"


def by() -> str:
    """Return who makes a change on the current host, for the variable of ``record_change.sh``."""
    if _DIGEST not in host.connector_data:
        settings, _ = load_settings(host.data.dict())
        dump = settings.model_dump(mode="json") if settings else {}
        host.connector_data[_DIGEST] = settings_digest(dump)
    return members(author(host.connector_data[_DIGEST]))


def recorded(what: str, text: str) -> str:
    """
    Return a script that first records that the current host is changed.

    + what: the operation, and what it does
    + text: the script that makes the change
    """
    recording = script("node/record_change", state_dir=STATE_DIR, by=by())
    return f"{recording}record_change {shlex.quote(what)}\n{text}"
