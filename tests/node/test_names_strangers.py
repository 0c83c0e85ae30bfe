"""Who is no container of this node is not answered: another machine, and the node itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.node.audits import sh
from tests.node.egress_nodes import address6, at_once
from tests.node.names_asking import counted, counting, holding, said
from tests.node.names_nodes import ADDRESS, ADDRESS6, Ground, probe
from tests.node.watching import within
from tools.lab import LabNode

NAME, MACHINE = "names-29", "names-20"
ASKED = [
    f"ask/{way}/large.test/{server}" for way in ("edns", "tcp") for server in (ADDRESS, ADDRESS6)
]
ANSWERED = dict.fromkeys(ASKED, "30 whole")
# A connection is opened by the kernel, and closed when Docker has been asked whose it is.
UNHEARD = {what: "closed" if "/tcp/" in what else "timeout" for what in ASKED}

# Arguments: which, and the node's address by which it is reached.
_NODE = """
set -eu
case "$1" in
    begin) ip -6 address replace "$2/64" dev eth0 nodad ;;
    end) ip -6 address del "$2/64" dev eth0 ;;
esac
"""
# Arguments: which, the machine's own address, and where both addresses of the resolver are to lead.
# That machine has a resolver too, and would ask that one.
_MACHINE = f"""
set -eu
case "$1" in
    begin)
        ip -6 address replace "$2/64" dev eth0 nodad
        ip address del {ADDRESS}/32 dev lo
        ip address del {ADDRESS6}/128 dev lo
        ip route add {ADDRESS} via "$3"
        ip route add {ADDRESS6} via "$4"
        ;;
    end)
        ip route del {ADDRESS} via "$3"
        ip route del {ADDRESS6} via "$4"
        ip address replace {ADDRESS}/32 dev lo
        ip address replace {ADDRESS6}/128 dev lo nodad
        ip -6 address del "$2/64" dev eth0
        ;;
esac
"""


@contextmanager
def way_to(node: LabNode, machine: LabNode) -> Iterator[None]:
    """Have what another machine sends to the resolver's addresses come to this node."""
    sh(node, _NODE, "begin", address6(node))
    sh(machine, _MACHINE, "begin", address6(machine), node.address, address6(node))
    try:
        yield
    finally:
        sh(machine, _MACHINE, "end", address6(machine), node.address, address6(node))
        sh(node, _NODE, "end", address6(node))


def asked_by_strangers(names: Ground) -> dict[str, dict[str, str]]:
    """What another machine and the node itself are told, both at once."""
    strangers = {"another machine": names.ready(MACHINE), "the node itself": names.ready(NAME)}
    with way_to(strangers["the node itself"], strangers["another machine"]):
        return at_once(lambda who: probe(strangers[who], ASKED), strangers)


def test_neither_is_told_anything(names: Ground) -> None:
    names.ready(NAME)

    found = asked_by_strangers(names)

    assert found == {"another machine": UNHEARD, "the node itself": UNHEARD}
    assert names.probe(NAME, "red-runc", ASKED) == ANSWERED


@pytest.mark.slow
def test_they_are_counted_and_leave_nothing(names: Ground) -> None:
    with counting(names, NAME) as node:
        held, before = holding(node), counted(node)

        asked_by_strangers(names)
        within(30, lambda: holding(node) == held)
        after = counted(node)
        held_after, words = holding(node), said(node)

    more = {what: after[what] - before[what] for what in after if after[what] != before[what]}
    assert more == {"udp": 4, "stranger": 8}  # no query is read of a stranger's connection
    assert held_after == held
    assert words == ""
