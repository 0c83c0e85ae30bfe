"""What no program would send disturbs nobody but who sends it, and leaves nothing."""

import json
import re
from pathlib import Path
from time import sleep

import pytest

from tests.node.audits import sh
from tests.node.containers import must
from tests.node.egress_nodes import at_once
from tests.node.names_asking import asked_while, holding, peak_kib, program, said
from tests.node.names_nodes import ADDRESS, ADDRESS6, PAIRED, UNIT, Ground
from tests.node.names_story import BEYOND, by_name
from tests.node.watching import within
from tools.lab import LabNode

pytestmark = pytest.mark.slow

RUN = {"udp": "names-20", "tcp": "names-29"}  # the oldest and the newest Python
SEED = "20261125"
SENDING = ("red-gvisor", "red-runc")
MOST_SENDING = ("options", *PAIRED["red"], *PAIRED["blue"])
COUNTS = {"udp": "2000", "tcp": "300"}  # from each of them, to each address
MOST_KIB = 40 * 1024
WANTED = {
    **by_name("tcp", PAIRED["red"]),
    **BEYOND,
    # Under runc other names are asked for at Docker's own resolver.
    **{f"ask/tcp/large.test/{server}": "30 whole" for server in (ADDRESS, ADDRESS6)},
}
# What is wrong with an answer or a connection is told; what is wrong with the program never is.
WRONG = re.compile(
    "Traceback|never retrieved|(?:Assertion|Attribute|Index|Key|Memory|Name|Recursion|Type"
    "|Unicode\\w*|Value)Error|struct.error"
)

_FUZZ = (Path(__file__).parent / "names_fuzz.py").read_text()


def sent(node: LabNode, container: str, *what: str) -> dict[str, object]:
    """What came of all that a container has sent (``names_fuzz.py``), by address."""
    ran = must(node, "docker", "exec", container, "python3", "-c", _FUZZ, *what)
    found: dict[str, object] = json.loads(ran)
    return found


def at_rest(node: LabNode) -> str:
    """What the program holds when it has found every container: twice the same, 2 s apart."""
    seen = [holding(node)]

    def is_same() -> bool:
        sleep(2)
        seen.append(holding(node))
        return seen[-1] == seen[-2]

    assert within(60, is_same), seen
    return seen[-1]


@pytest.mark.parametrize("way", COUNTS)
def test_others_have_names_meanwhile_and_it_goes_on_as_it_was(names: Ground, way: str) -> None:
    name = RUN[way]
    node = names.ready(name)
    sh(node, f"systemctl restart {UNIT}.service")  # what it has had at most is counted from here
    known = names.probe(name, "red-runsc", ["name/red-runsc"])["name/red-runsc"]
    assert all(names.probe(name, each, WANTED) == WANTED for each in SENDING)
    before = at_rest(node)
    came: dict[str, dict[str, object]] = {}

    def send() -> None:
        what = (way, SEED, COUNTS[way], ADDRESS, ADDRESS6)
        came.update(at_once(lambda each: sent(node, each, *what), SENDING))

    asked = asked_while(node, send, "red-runsc")
    within(60, lambda: holding(node) == before)
    after, peak, words = holding(node), peak_kib(node), said(node)

    print(f"{name}, {way}, seed {SEED}: {came}; meanwhile {asked}; peak {peak} KiB")  # noqa: T201
    assert all("answered" in item for each in came.values() for item in each.values())
    assert list(asked["came"]) == [known]
    assert after == before
    assert peak < MOST_KIB
    assert WRONG.findall(words) == []
    assert all(names.probe(name, each, WANTED) == WANTED for each in SENDING)


def test_as_many_queries_as_may_wait_fit_into_its_memory(names: Ground) -> None:
    name = RUN["tcp"]
    node = names.ready(name)
    sh(node, f"systemctl restart {UNIT}.service")
    before = program(node)

    came = at_once(lambda each: sent(node, each, "most", SEED, "6000", ADDRESS), MOST_SENDING)
    after, peak = program(node), peak_kib(node)

    print(f"{name}: {came}; peak {peak} KiB")  # noqa: T201
    assert after == before
