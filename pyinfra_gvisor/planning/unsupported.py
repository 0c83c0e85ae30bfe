"""Refuse a node's Docker if it cannot start containers with the node's runc."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText
from pyinfra_gvisor.daemon_json.effective import known
from pyinfra_gvisor.daemon_json.keys import Force, version_of
from pyinfra_gvisor.daemon_json.validation import dockerd_version, flag_values
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.settings import Settings

# From this version on containers get a time namespace, unless the feature is off: moby v29
# daemon/daemon_unix.go. runc supports that namespace since 1.2: seen with Docker 29.7.1.
TIME_NAMESPACES = (29, 5)
TIME_FEATURE = "time-namespaces"
MIN_RUNC = (1, 2)


def runc_problem(node: Node, settings: Settings) -> Problem | None:
    """Return why this Docker cannot start containers with this runc, None if nothing shows that."""
    version, runc = dockerd_version(node), _runc(node)
    if node.info is None or version is None or version < TIME_NAMESPACES:
        return None
    if runc is None or (version_of(runc) or MIN_RUNC) >= MIN_RUNC:
        return None
    if _feature(node, settings.daemon_json, TIME_FEATURE) is False:
        return None
    what = f"Docker {node.info.server_version} needs runc 1.2 or later"
    return Problem(what, got=runc, todo="upgrade runc")


def _runc(node: Node) -> str | None:
    """Return runc's version in digits and dots, None if neither Docker nor runc names it."""
    told = node.runc_version
    if (
        not told
        and node.info
        and re.match(r"runc$|io\.containerd\.runc\.", node.info.default_runtime)
    ):
        told = node.info.runc
    found = re.match(r"v?(\d+(?:\.\d+)+)", told or "")
    return found[1] if found else None


def _feature(node: Node, wanted: Mapping[str, Json], name: str) -> Json:
    """Return a member of ``features`` as declared, or else as dockerd has it; None if unset."""
    for features in (wanted.get("features"), _flagged(node), _at_start(node).get("features")):
        if isinstance(features, dict) and name in features:
            return features[name]
    return None


def _flagged(node: Node) -> dict[str, Json]:
    """Return the features in dockerd's flags; without a value on: moby daemon/internal/opts."""
    words = node.dockerd.arguments if node.dockerd else ()
    pairs = (value.partition("=") for value in flag_values(words, "feature"))
    return {
        name: not equals or value.lower() in ("1", "t", "true") for name, equals, value in pairs
    }


def _at_start(node: Node) -> Mapping[str, Json]:
    """Return the keys that dockerd read at its start, or the file's keys if that is unknown."""
    try:
        read = known(node, Force.RESTART)
    except Problem:
        return {}
    return _in_file(node) if read is None else read


def _in_file(node: Node) -> Mapping[str, Json]:
    """Return the keys of daemon.json; empty if it cannot be read, which the plan reports."""
    try:
        return JsonText(node.daemon_json.text or "{}").value
    except Problem:
        return {}
