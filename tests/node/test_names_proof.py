"""What the proof and the audit say of a runtime that has Docker's names by the resolver."""

import json

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node.audits import WAIVERS, Audit, of_before, sh
from tests.node.names_nodes import ADDRESS, RUNTIMES, Ground
from tests.node.names_story import RUN
from tests.node.proving import rows
from tests.node.running import RELEASE

NAME = "names-29"
NAMES = ("dns", "dns-alias", "dns-scope", "dns-restart")


def audited(names: Ground, name: str) -> Audit:
    """An audit of one of these nodes."""
    directory = names.fleet.directory / "reports"
    given = {"report_dir": str(directory), "waivers": WAIVERS}
    outcome = names.run(name, deploy="deploys/audit.py", **given)
    path = directory / "hosts" / f"{name}.json"
    assert path.exists(), outcome.text
    return Audit(outcome, json.loads(path.read_text()))


@pytest.mark.parametrize("name", RUN)
def test_it_is_proven_in_all_that_such_a_runtime_is_to_show(names: Ground, name: str) -> None:
    names.ready(name)

    outcome = names.run(name, proof="always", proof_rows=True)

    assert outcome.code == 0, outcome.text
    found = rows(outcome, "gvisor")
    assert set(found) == {check.id for check in asked_of(Runtime(**RUNTIMES["gvisor"]))}
    assert found["own-stack"].split()[2:] == ["the", "sandbox's", "alone", "the", "kernel's", "ok"]
    assert [found[check].split()[-1] for check in NAMES] == ["ok"] * len(NAMES)
    audit = audited(names, name)
    assert {*audit.found} == of_before(names.nodes[name], RELEASE), audit.found


# What a firewall of somebody's own on the node may do.
_CUT = (
    f"iptables {{}} INPUT -d {ADDRESS} -j REJECT; ip6tables {{}} INPUT -p udp --dport 53 -j REJECT"
)


@pytest.mark.slow
def test_names_that_do_not_come_are_not_proven_where_they_come_by_the_resolver(
    names: Ground,
) -> None:
    node = names.ready(NAME)
    sh(node, _CUT.format("-I", "-I"))
    try:
        outcome = names.run(NAME, proof="always")
    finally:
        sh(node, _CUT.format("-D", "-D"))

    assert outcome.code == 1
    failed = {name: _failed(outcome.stderr, name) for name in RUNTIMES}
    assert failed == {"runsc": [], "gvisor": ["dns", "dns-alias", "dns-restart"]}
    assert names.deploy(NAME, proof="always")


def _failed(text: str, runtime: str) -> list[str]:
    lines = [line.split("] ", 1)[-1].split() for line in text.splitlines()]
    return [words[0] for words in lines if words[1:2] == [runtime] and words[-1] == "PROVEN"]
