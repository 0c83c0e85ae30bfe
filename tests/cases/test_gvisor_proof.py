"""``gvisor.proof``: nothing is called isolated that was not seen to be."""

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.parts.divert.proof import CHECKS as BUILD_CHECKS
from pyinfra_gvisor.parts.egress.proof import CHECKS as EGRESS_CHECKS
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.judge.proof import CHECKS as DOOR_CHECKS
from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.proof.verdict import fingerprint, last_held
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.arguments import Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import PROFILES, RELEASE, converged, proven_answer
from tests.table import table
from tests.unit.answers import answer, node
from tests.unit.egress.egress_states import declaring
from tests.unit.proof.observations import STOPPED, output

ASKED = asked_of(Runtime())
OF_PARTS = (*EGRESS_CHECKS, *BUILD_CHECKS, *DOOR_CHECKS)
MADE = [check for check in ASKED if check not in OF_PARTS]
CONVERGED = answer(**converged())
SHOWN = Reply(output())
BECAME_ROOT = output(runsc={"no_new_privs": "became root"})
OVERDUE = "node\tended\tthe proof did not end within 120 s; run again when the node is less busy"
REFUSED = "docker: Error response from daemon: failed to mount /a: invalid argument"
RISK = "RISK ACCEPTED: runsc 20240729.0 is open to CVE-2026-96812. Reason given: a lab"


def proved(
    replies: dict[str, Reply], told: list[str] = CONVERGED, **named: Any
) -> tuple[Fleet, Node]:
    """A run of the proof on a node that answers so, beside one on which all is well."""
    item, good = Node([told], replies), Node([proven_answer()], {"prove": SHOWN})
    named = {"profiles": PROFILES, "no_new_privileges": True, **named}
    return Fleet({"a": item, "good": good}).done(gvisor.proof, RELEASE, **named), item


def record(command: str) -> Any:
    """The record that a command writes."""
    found = re.search(r"^content_b64=(\S+)$", command, re.MULTILINE)
    assert found
    return json.loads(base64.b64decode(found[1]))


def test_a_node_that_shows_what_it_must_is_proven_in_one_line_and_that_is_written_down(
    caplog: Log,
) -> None:
    fleet, item = proved({"prove": SHOWN})

    assert fleet.failed() == set()
    counted = f"{len(MADE)} ok, {len(ASKED) - len(MADE)} not applicable"
    assert shown(caplog)[1:-1] == [f"proven runsc {RELEASE} as runsc: {counted}"]
    assert item.kinds()[-2:] == ["prove", "record"]
    for part in ("silent_s=60\nfast_s=120\n", "runtimes='\"'\"'runsc runc'\"'\"'\n"):
        assert part in item.of("prove").command
    written = record(item.of("record").command)
    assert written["fingerprint"] == fingerprint(node(**converged()), RELEASE, PROFILES)
    assert (written["release"], written["runtimes"]) == (RELEASE, ["runsc"])
    assert (written["failed"], written["checks"]) == ([], len(MADE))
    assert written["outcomes"] == {"runsc": {"ok": len(MADE), "n/a": len(ASKED) - len(MADE)}}
    assert 0 <= written["took_s"] < 10
    assert datetime.fromisoformat(written["at"]).tzinfo == UTC
    assert written["risks"] == []
    assert written["sbom"] == {
        "release": RELEASE,
        "source": "https://example.com/gvisor.tar.bz2",
        "sha512": dict(known(RELEASE, "x86_64")),
        "installed_at": "2026-11-24T20:00:00Z",
    }


@table(
    "reply, said",
    ok=(Reply(output(runsc={"raw_socket": "allowed"})), "not proven: raw-socket;"),
    control=(Reply(output(runc={"raw_socket": "refused"})), "not proven: raw-socket;"),
    not_started=(
        Reply(["runsc\tstart\tunknown runtime", "runc\tstart\tok"]),
        "runsc did not start: unknown runtime",
    ),
    seen_before_time_ran_out=(
        Reply([*output(runsc={"raw_socket": "allowed"}), OVERDUE], ok=False),
        "not proven: raw-socket;",
    ),
    cut_off=(Reply(output()[:-4]), "not proven: "),
)
def test_a_host_that_is_not_proven_fails_and_is_noted(reply: Reply, said: str, caplog: Log) -> None:
    fleet, item = proved({"prove": reply})

    assert fleet.failed() == {"a"}
    written = record(item.of("record").command)
    assert set(written) == {
        *("version", "failed", "at", "release", "runtimes"),
        *("checks", "outcomes", "took_s", "image", "held_at"),
    }
    assert written["failed"]
    assert (written["release"], written["checks"]) == (RELEASE, len(MADE))
    assert said in caplog.text
    assert "gvisor.proof: probe on @fake/a: not proven" in caplog.text


@table(
    "reply, said",
    busy=(
        Reply(["node\tended\tanother proof runs on this node; wait, then run again"], ok=False),
        "another proof runs on this node; wait, then run again",
    ),
    time_ran_out=(
        Reply([*output()[:9], OVERDUE], ok=False, stderr=["x"]),
        "the proof did not end within 120 s; run again when the node is less busy",
    ),
    broken_off=(
        Reply(output(), ok=False, stderr=[REFUSED, "exit status 1"]),
        "the probe ended too early: failed to mount /a: invalid argument; see dockerd's log",
    ),
)
def test_a_proof_that_was_not_made_leaves_the_last(reply: Reply, said: str, caplog: Log) -> None:
    earlier = {"fingerprint": "of-another-state", "at": "2026-11-01T10:00:00+00:00"}
    given = converged()
    state = answer(**{**given, "state": {**given["state"], "proof": earlier}})

    fleet, item = proved({"prove": reply}, state)

    assert fleet.failed() == {"a"}
    sent = item.of("record").command
    assert "\nrecord=proof-try.json\n" in sent
    assert record(sent)["why"] in caplog.text
    errors = [item.getMessage() for item in caplog.records if item.levelname == "ERROR"]
    assert [line for line in errors if "Error: executed" not in line] == errors[:1]
    assert f"gvisor.proof: probe on @fake/a: could not be made: {said}" in caplog.text
    assert "the record of the proof at 2026-11-01T10:00:00+00:00 is left as it is" in caplog.text
    assert "NOT PROVEN" not in caplog.text


def shown(caplog: Log, host: str = "a") -> list[str]:
    """What the proof said about a host."""
    lines = [line for line in caplog.text.splitlines() if f"[@fake/{host}] " in line]
    return [line.split("] ", 1)[1].strip() for line in lines]


def test_of_a_proof_that_fails_the_rows_that_are_not_ok_are_shown(caplog: Log) -> None:
    proved({"prove": Reply(output(runsc={"raw_socket": "allowed"}))})

    lines = shown(caplog)
    left = len(ASKED) - len(MADE)
    counted = f"{len(MADE) - 1} ok, {left} not applicable, 1 NOT PROVEN"
    assert lines[1:4] == [
        f"not proven runsc {RELEASE} as runsc: {counted}",
        "check       runtime  seen there  under runc (control)",
        "raw-socket  runsc    allowed     allowed               NOT PROVEN",
    ]
    assert lines[4].startswith("raw-socket (high): remove the flag from gvisor_runtimes")


def test_every_row_is_shown_on_request_with_the_risk_under_the_table(caplog: Log) -> None:
    _, item = proved({"prove": SHOWN}, risks=[RISK], rows=True)

    lines = [line for line in shown(caplog) if line[:1].isalpha()]
    first = next(at for at, line in enumerate(lines) if line.startswith("kernel-inside"))
    checks = [line.split()[0] for line in lines[first : lines.index(RISK)]]
    asked = [item.id for item in ASKED]
    assert [check for check in checks if check in asked] == asked
    assert record(item.of("record").command)["risks"] == [RISK]


@table("when, kinds", never=("never", []), always=("always", ["prove", "record"]))
def test_a_proven_node_is_proven_anew_only_on_request(when: str, kinds: list[str]) -> None:
    nodes = {"a": Node([proven_answer()], {"prove": SHOWN})}

    Fleet(nodes, prepare=False).done(gvisor.proof, RELEASE, profiles=PROFILES, when=when)

    assert nodes["a"].acted() == kinds


def test_of_a_proof_that_fails_it_is_kept_when_the_last_one_held() -> None:
    held_at = "2026-11-20T23:30:00+01:00"
    there = converged()
    there["state"] = {**there["state"], "proof": {"fingerprint": "a", "at": held_at}}
    failing = {"prove": Reply(output(runsc={"raw_socket": "allowed"}))}

    items = [proved(failing, told=told)[1] for told in (answer(**there), CONVERGED)]

    written = [record(item.of("record").command) for item in items]
    assert [item["held_at"] for item in written] == [held_at, None]
    assert all(item["failed"] for item in written)
    assert [last_held(item) for item in written] == [held_at, None]


ALLOWED = Egress.model_validate({"allow": [{"to": "10.0.0.5", "ports": ["5432"]}]})
OPEN = dict.fromkeys(STOPPED, "not in force, connected")


def test_an_image_and_a_declared_firewall_are_tried_and_make_a_proof_of_their_own() -> None:
    fleet, item = proved({"prove": SHOWN}, declared=declaring(ALLOWED))
    _, other = proved({"prove": SHOWN}, image="shop:1")

    assert fleet.failed() == set()
    assert " allowed=10.0.0.5=5432'" in item.of("prove").command
    assert "image=shop:1\n" in other.of("prove").command
    written, of_image = (record(it.of("record").command) for it in (item, other))
    assert written["checks"] == len(MADE) + len(EGRESS_CHECKS)
    with_it, without = (
        fingerprint(node(**converged()), RELEASE, PROFILES, declared=declaring(egress))
        for egress in (ALLOWED, None)
    )
    assert written["fingerprint"] == with_it != without
    assert of_image["image"] == "shop:1"
    assert of_image["fingerprint"] != without


def test_a_firewall_that_lets_a_sandbox_out_or_a_full_disk_fails_the_host(caplog: Log) -> None:
    shown = Reply(output(runsc={**OPEN, "egress_allowed": None}, runc=OPEN))
    full = Reply(ok=False, stderr=["No space left on device"])

    fleet, item = proved({"prove": shown}, declared=declaring(Egress()))
    unwritten, _ = proved({"prove": SHOWN, "record": full})

    assert fleet.failed() == unwritten.failed() == {"a"}
    failed = ["egress-metadata", "egress-node", "egress-private", "egress-smtp"]
    assert record(item.of("record").command)["failed"] == failed
    assert (
        "egress-metadata, egress-private, egress-smtp, egress-node (critical): "
        "run pyinfra-gvisor apply to load the rules; see docs/egress.md"
    ) in caplog.text
    assert "proof.json on @fake/a: No space left on device" in caplog.text


@table(
    "wanted, live, outcome",
    wanted_and_not_live=(True, False, "became root"),
    live=(None, True, "became root"),
    given_up=(False, True, "is switched off"),
)
def test_no_new_privileges_is_proven_where_it_must_be(
    wanted: bool | None, live: bool, outcome: str, caplog: Log
) -> None:
    given = converged()
    options = ["name=no-new-privileges"] if live else []
    docker = {**given["docker"], "SecurityOptions": options}
    state = answer(**{**given, "docker": docker})
    shows = {"prove": Reply(BECAME_ROOT)}

    fleet, _ = proved(shows, state, no_new_privileges=wanted, rows=True)

    row = next(line for line in caplog.text.splitlines() if "no-new-privs  " in line)
    assert outcome in row
    assert (fleet.failed() == {"a"}) is (outcome == "became root")
