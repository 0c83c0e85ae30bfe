"""How the keeper knows that the judge is resident."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.daemon_json.shared_lists import LINKS
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.judge.files import ADDRESS, ASK, NAME
from pyinfra_gvisor.parts.judge.plan import declared_files
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.settings import Settings


def _given(_node: Node, settings: Settings) -> Mapping[str, str]:
    given = {"judge_name": NAME, "judge_ask": ASK, "judge_links": LINKS}
    if settings.has_door:
        what = "Docker starts no new container, and dockerd does not start without the socket"
        return {**given, "judge_address": ADDRESS, "judge_else": what}
    return {**given, "judge_address": "", "judge_else": "containers start more slowly"}


KEEP = Keep(("parts/judge/keep",), declared_files, _given)
