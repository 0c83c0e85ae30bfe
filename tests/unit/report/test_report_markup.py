"""The HTML page's text and tags, read by a parser."""

import re
from collections import Counter
from html.parser import HTMLParser

from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.report.document import FleetReport
from pyinfra_gvisor.report.page import FEW, MANY, page
from tests.arguments import Data
from tests.table import table
from tests.unit.report.reports import (
    GONE,
    MODE,
    PROVEN,
    SOCKET,
    UNSANDBOXED,
    WAIVED,
    WEB,
    container,
    every_state,
    failed,
    fleet,
    host,
    node,
    unknown,
    with_firewall,
)

EVIL = "<script>alert(1)</script>\"'><img src=http://example.com/x onerror=alert(2)>"
VOID = {"meta", "link"}


class Markup(HTMLParser):
    """The page's tags, links, ids and text; tags that are not closed in order are a failure."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.details: list[tuple[str, bool]] = []
        self._words: list[str] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()
        assert self._inside == []

    @property
    def text(self) -> str:
        """What a reader reads, every run of blanks as one."""
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        given = {name: value or "" for name, value in attrs}
        assert not [name for name in given if name.startswith("on") or name == "style"]
        self.links += [given[name] for name in ("href", "src") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        if tag == "details":
            self.details.append((given["class"], "open" in given))
        if tag not in VOID:
            self._inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] != "style":
            self._words.append(data)


def read(report: FleetReport) -> Markup:
    """The page of ``report``."""
    return Markup(page(report))


def test_the_page_needs_nothing_beside_itself_runs_nothing_and_every_link_leads_within_it() -> None:
    text = page(every_state())
    found = Markup(text)
    targets = [link.removeprefix("#") for link in found.links if link.startswith("#")]

    assert text.startswith("<!DOCTYPE html>")
    assert {link[0] for link in found.links if link != "data:,"} == {"#"}
    assert not {"script", "img", "iframe", "object", "form"} & set(found.tags)
    assert not re.search(r"url\(|@import|https?:", text)
    assert len(found.ids) == len(set(found.ids))
    assert set(targets) <= set(found.ids)


def test_what_comes_from_nodes_is_shown_and_never_a_tag() -> None:
    texts = dict.fromkeys(("id", "subject", "what", "evidence", "remedy", "cis"), EVIL)
    finding = Finding(severity=Severity.HIGH, **texts)
    waived = finding.model_copy(update={"waived": EVIL})
    evil_node = node().model_copy(update={"kernel": EVIL, "docker": EVIL, "releases": (EVIL,)})
    boxes = (container(EVIL, asked=EVIL, exempt=EVIL),)
    evil = host(EVIL, finding, waived, containers=boxes, risks=(EVIL,))
    plain = host("a", MODE, MODE.model_copy(update={"waived": "x" * 10}), risks=("x",))
    stopped = WEB.model_copy(update={"who": EVIL, "tried": (EVIL,)})

    found = read(fleet(evil.model_copy(update={"node": evil_node}), unknown("b", EVIL)))
    firewalled = read(fleet(with_firewall(stopped=(stopped,), counters={f"drop_{EVIL}": 1})))

    assert found.tags == read(fleet(plain, unknown("b"))).tags
    assert found.text.count(EVIL) >= 20
    assert firewalled.text.count(EVIL) == 3
    assert "script" not in firewalled.tags


def test_the_page_says_what_was_found_seen_and_is_to_be_done() -> None:
    text = read(fleet(failed())).text

    for item in (SOCKET, MODE):
        wanted = (item.subject, item.id, item.what, item.evidence, item.remedy, item.cis)
        assert [part for part in wanted if part and part not in text] == []
    assert f"Accepted {WAIVED.waived}" in text
    assert "exempt: routes to all others" in text
    assert "Not in gVisor, against the policy: 1 " in text
    assert "Not in gVisor, as the policy allows: 1 " in text
    assert "gvisor_network host" in text
    assert "14 of 14 passed" in text
    assert "Last proof 2026-11-20 22:30 UTC" in text


@table(
    "default, shown",
    ours=("runsc", True),
    another=("runc", False),
    of_an_earlier_version=(None, False),
)
def test_the_runtime_of_those_that_ask_none_is_marked(default: str | None, shown: bool) -> None:
    looked = host("a")
    told = looked.node.model_copy(update={"default_runtime": default})

    text = page(fleet(looked.model_copy(update={"node": told})))

    assert ("<b>runsc</b> (default)" in text) is shown


def test_every_state_is_a_word_beside_its_shape_the_worst_first_and_what_was_seen_is_folded() -> (
    None
):
    text, order = page(every_state()), ("unknown", "failed", "findings", "clean")
    details = Markup(text).details

    for state in order:
        assert text.count(f'<use href="#{state}"/></svg>{state.capitalize()}</span>') == 2
    assert [item for item in details if "host" in item[0]] == [
        (f"host state-{state}", False) for state in order
    ]
    assert [is_open for name, is_open in details if name == "group"] == [*[True] * 3, False]
    assert {is_open for name, is_open in details if name == "seen"} == {False}


ALL = "gVisor works on 3 of 4 hosts. 3 of 5 containers run in gVisor on 3 of 4 hosts."
ONE = "gVisor works on 1 of 1 host. 1 of 1 containers run in gVisor."


@table(
    "report, words",
    not_all=(every_state(), f"Not compliant {ALL} 2 of 4 hosts are compliant"),
    all=(fleet(host("a")), f"Compliant {ONE} 1 of 1 host is compliant"),
    no_host=(fleet(), "Not compliant No host was checked"),
)
def test_the_verdict_is_said_first(report: FleetReport, words: str) -> None:
    assert words in read(report).text


def test_the_page_says_when_it_was_made_what_compliant_means_and_why_an_unknown_host_is_not() -> (
    None
):
    strict = host("b").model_copy(update={"fail_on": Severity.LOW})
    old = host("b").model_copy(update={"at": "2026-11-24T23:00:00+00:00"})

    text, dated = read(every_state()).text, read(fleet(host("a"), old)).text
    each = read(fleet(host("a"), strict)).text
    unseen = read(fleet(host("a"), unknown("b", "no route to host"))).text

    assert "Made 2026-11-25 01:02 UTC by an audit of 4 hosts" in text
    assert "not part of this run" not in text
    assert "1 host was not part of this run" in dated
    assert (
        dated.count("b Clean as of 2026-11-24 23:00 UTC: nothing found")
        == dated.count("as of")
        == 1
    )
    assert "Checked 2026-11-24 23:00 UTC , by an earlier run" in dated
    assert "has no finding of severity high or worse" in text
    assert "could not be checked is not compliant" in text
    assert "at or above the severity that its section names" in each
    assert "fails on low or worse" in each
    assert "fails on high or worse" in each
    assert unseen.index("no route to host") < unseen.index("20260928.0")
    assert "b could not be checked. It counts as not compliant" in unseen


@table("number, folded", few=(MANY, False), many=(MANY + 1, True))
def test_many_rows_that_say_nothing_bad_are_folded_up_together(number: int, folded: bool) -> None:
    bad = [container(f"b-{at}", sandboxed=False) for at in range(number)]
    worst = host("z", UNSANDBOXED, containers=tuple(bad))
    found = read(fleet(worst, *(host(f"run-{at}") for at in range(number))))

    assert [is_open for name, is_open in found.details if name == "group"] == (
        [True, False, False] if folded else [True, True]
    )
    assert (f"Clean hosts: {number}" in found.text) == folded
    assert f"In gVisor: {number}" in found.text


@table("fail_on, is_open", info=(Severity.INFO, True), low=(Severity.LOW, False))
def test_what_is_for_information_is_folded_unless_it_fails_a_host(
    fail_on: Severity, is_open: bool
) -> None:
    noted = host("a", MODE.model_copy(update={"severity": Severity.INFO}), containers=())

    (group, *_) = read(fleet(noted.model_copy(update={"fail_on": fail_on}))).details

    assert group == ("group", is_open)


def test_of_a_rule_with_many_places_and_remedies_the_most_frequent_are_shown_and_all_folded() -> (
    None
):
    remedies = ["Exempt it."] * 50 + ["Move it."] * 2 + ["Stop it."]
    found = [
        SOCKET.model_copy(update={"subject": f"app-{at}", "evidence": f"seen {at}", "remedy": text})
        for at, text in enumerate(remedies)
    ]

    shown, _, seen = read(fleet(host("a", *found))).text.partition("53 places, with what was seen")

    assert "On app-0, app-1, app-10," in shown
    assert "more To do Exempt it. On app-50, app-51 To do Move it." in shown
    assert "Stop it." not in shown
    assert [at for at in range(53) if f"app-{at} seen {at} " not in seen] == []
    assert seen.startswith(" and what to do Exempt it. app-0 ")
    assert "Stop it. app-52 seen 52" in seen


def test_a_container_against_the_policy_is_first_among_all() -> None:
    boxes = tuple(container(name) for name in ("a", "b"))
    excused = container("y", sandboxed=False, exempt="routes to all others")
    bad = container("z", sandboxed=False)

    text = page(fleet(host("run-1", containers=(*boxes, excused, bad))))

    assert text.count('class="breaking"') == 1
    assert text.index(">z<") < text.index(">y<") < text.index(">a<") < text.index(">b<")


@table(
    "at, holds, words",
    holds=(PROVEN, True, "yes: the node is unchanged since then"),
    changed=(PROVEN, False, "no: a check failed, or the node changed"),
    never=(None, False, "no: isolation was never proven"),
)
def test_a_proof_that_does_not_hold_is_shown_so(at: str | None, holds: bool, words: str) -> None:
    looked_at = node(at=at)
    proof = looked_at.proof.model_copy(update={"holds": holds})
    report = host("a").model_copy(update={"node": looked_at.model_copy(update={"proof": proof})})

    text = read(fleet(report)).text

    assert words in text
    assert ("does not hold" in text, "never" in text) == (at is not None and not holds, at is None)


def test_the_page_says_what_containers_may_reach_of_hosts_with_a_firewall_only() -> None:
    text = read(fleet(host("a"), with_firewall(stopped=(WEB, GONE)))).text

    assert text.count("What containers can reach") == 1
    assert "Firewall active, also after a reboot" in text
    assert "Blocked 3 packets: metadata 3" in text
    assert "Allowed 4151 connections: dns 120, internet 4031" in text
    assert "web to 169.254.169.254:80/tcp, 10.0.0.0:5432/tcp" in text
    assert f"10.0.0.{FEW - 2}:5432/tcp and 3 more" in text
    assert "172.18.0.9 (no running container) to 10.0.0.5/icmp" in text


@table(
    "changes, words",
    not_in_force=({"in_force": False}, "Firewall declared, but not active"),
    undeclared=({"declared": False}, "Firewall present, but not declared"),
    only_reports=({"only_reports": True}, "Firewall only reports, blocks nothing"),
)
def test_the_page_says_that_a_firewall_is_not_as_due(changes: Data, words: str) -> None:
    text = read(fleet(with_firewall(counters={}, **changes))).text

    assert words in text
    assert "Blocked" not in text
