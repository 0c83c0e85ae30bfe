"""The sample does what parts do; run in a copy of the tree by ``test_new_part.py``."""

from pathlib import Path
from typing import Any

from pyinfra_gvisor.audit.observed import audit_script
from pyinfra_gvisor.base.scripts import packed
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.every import refusals
from pyinfra_gvisor.parts.sample.state import SampleState
from pyinfra_gvisor.proof.script import probe_script
from pyinfra_gvisor.proof.skipped_checks import skipped_checks
from pyinfra_gvisor.proof.verdict import fingerprint, judge
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.cases.fleet import Fleet, Node
from tests.cases.kept import users
from tests.cases.proven import proven_answer
from tests.table import table
from tests.unit.answers import answer, node
from tests.unit.audit.audited import audited
from tests.unit.node_script import Machine
from tests.unit.planning.test_preflight import settings_of

WANTED: dict[str, Any] = {"gvisor_sample": "hello", "gvisor_proof": "never"}
THERE = "sample text hello"
RUNSC = {"runsc": Runtime()}


def applied(item: Node) -> list[str]:
    """Each call of the sample's script on a host."""
    sent = [one.command for one in item.sent]
    return [text for text in sent if "Puts the sentence on the node" in text]


def test_the_node_is_asked_and_its_answer_read(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    nothing = machine.node().part(SampleState)
    (machine.gvisor / "sample").mkdir(parents=True)
    (machine.gvisor / "sample" / "text").write_text("hello\n")

    assert not nothing.there
    assert machine.node().part(SampleState) == SampleState(text="hello")


@table("prepare", interactive=True, with_yes=False)
def test_a_deploy_has_it_once_and_takes_it_away(prepare: bool) -> None:
    told = proven_answer()
    nodes = {
        "wanted": Node([told], data=WANTED),
        "there": Node([[THERE, *told]], data=WANTED),
        "gone": Node([[THERE, *told]], data={"gvisor_sample": None}),
        "never": Node([told]),
    }
    fleet = Fleet(nodes, prepare=prepare)

    fleet.deploy(run_node)
    fleet.run()

    assert fleet.failed() == set()
    written = packed("hello\n")
    assert [len(applied(item)) for item in nodes.values()] == [1, 0, 1, 0]
    assert written in applied(nodes["wanted"])[0]
    assert written not in applied(nodes["gone"])[0]


def test_it_is_refused_before_anything_is_done() -> None:
    nodes = {
        "a": Node([proven_answer(init="lab-init")], data=WANTED),
        "good": Node([proven_answer()], data=WANTED),
    }
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    assert (fleet.failed(), len(applied(nodes["good"])), nodes["a"].acted()) == ({"a"}, 1, [])
    (problem,) = refusals(node(init="lab-init"), settings_of(**WANTED))
    assert problem.what == "the sample needs systemd"


def test_a_removal_takes_it_away() -> None:
    nodes = {"a": Node([[THERE, *answer()], answer()], {"users": users()})}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(remove)
    fleet.run()

    assert (fleet.failed(), len(applied(nodes["a"]))) == (set(), 1)


def test_the_audit_asks_and_judges_it() -> None:
    found = {item.id: item for item in audited("sample_observed 2", settings=WANTED).findings}
    assert found["sample-other"].evidence == "read 2 times"
    assert "sample-other" not in {item.id for item in audited(THERE, settings=WANTED).findings}
    assert "sample_observed() {" in audit_script()
    waived = audited(settings={**WANTED, "gvisor_waivers": {"sample-other": "it is being tried"}})
    assert "waiver-unknown" not in {item.id for item in waived.findings}


def test_the_proof_tries_it_where_it_is_declared() -> None:
    found, declared = node(), settings_of(**WANTED)
    reasons = [
        skipped_checks(found, wanted=True, no_reload=None, declared=item).get("sample-read")
        for item in (declared, settings_of(), None)
    ]
    texts = [probe_script(found, RUNSC, no_reload="no", declared=item) for item in (declared, None)]

    shown = judge(["runsc\tsample_read\tnothing", "runc\tsample_read\tnothing"], "1", RUNSC)

    assert reasons == [None, "no sentence is declared", "no sentence is declared"]
    assert ["sample_tries() {" in text for text in texts] == [True, False]
    assert [item.word for item in shown if item.check.id == "sample-read"] == ["ok"]


def test_what_was_proven_depends_on_it() -> None:
    told = [[*lines, *proven_answer()] for lines in ([], [THERE])]
    digests = {
        fingerprint(parse_node(lines), "20260928.0", RUNSC, declared=settings_of(**WANTED))
        for lines in told
    }

    assert len(digests) == 2
