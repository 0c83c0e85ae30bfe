"""``gvisor.proof``: nothing is called isolated that was not seen to be."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.parts.divert.proof import CHECKS as BUILD_CHECKS
from pyinfra_gvisor.parts.egress.proof import CHECKS as EGRESS_CHECKS
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import PROFILES, RELEASE, converged, proven_answer
from tests.unit.answers import answer, node
from tests.unit.egress.egress_states import declaring
from tests.unit.proof.observations import STOPPED, output

ASKED = asked_of(Runtime())
MADE = [check for check in ASKED if check not in (*EGRESS_CHECKS, *BUILD_CHECKS)]  # no parts
CONVERGED = answer(**converged())
SHOWN = Reply(output())
BECAME_ROOT = output(runsc={"no_new_privs": "became root"})
OVERDUE = "node\tended\tthe proof did not end within 120 s; run again when the node is less busy"
REFUSED = "docker: Error response from daemon: failed to mount /a: invalid argument"
RISK = "RISK ACCEPTED: runsc 20240729.0 is open to CVE-2026-96812. Reason given: a lab"


def proved(replies: dict[str, Reply], **named: Any) -> tuple[Fleet, dict[str, Node]]:
    """A run of the proof on a node that answers so, beside one that is proven already."""
    nodes = {"a": Node([CONVERGED], replies), "good": Node([proven_answer()])}
    fleet = Fleet(nodes)
    fleet.add(gvisor.proof, RELEASE, profiles=PROFILES, **{"no_new_privileges": True, **named})
    fleet.run()
    return fleet, nodes


def record(command: str) -> Any:
    """The record that a command writes."""
    found = re.search(r"^content_b64=(\S+)$", command, re.MULTILINE)
    assert found
    return json.loads(base64.b64decode(found[1]))


def test_a_node_that_shows_what_it_must_is_proven_and_that_is_written_down() -> None:
    fleet, nodes = proved({"prove": SHOWN})

    assert fleet.failed() == set()
    assert nodes["a"].kinds()[-2:] == ["prove", "record"]
    written = record(nodes["a"].of("record").command)
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


def test_what_is_written_down_makes_the_next_run_change_nothing() -> None:
    _, nodes = proved({"prove": SHOWN})
    written = record(nodes["a"].of("record").command)
    given = converged()
    given["state"] = {**given["state"], "proof": written}
    again = {"a": Node([answer(**given)])}
    fleet = Fleet(again)

    fleet.add(gvisor.proof, RELEASE, profiles=PROFILES)
    fleet.run()

    assert again["a"].kinds() == ["state"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param(
            Reply(output(runsc={"raw_socket": "allowed"})), "not proven: raw-socket;", id="ok"
        ),
        pytest.param(
            Reply(output(runc={"raw_socket": "refused"})), "not proven: raw-socket;", id="control"
        ),
        pytest.param(
            Reply(["runsc\tstart\tunknown runtime", "runc\tstart\tok"]),
            "runsc did not start: unknown runtime",
            id="not-started",
        ),
        pytest.param(
            Reply([*output(runsc={"raw_socket": "allowed"}), OVERDUE], ok=False),
            "not proven: raw-socket;",
            id="seen-before-time-ran-out",
        ),
        pytest.param(Reply(output()[:-4]), "not proven: ", id="cut-off"),
    ],
)
def test_a_host_that_is_not_proven_fails_alone_and_an_earlier_proof_is_void(
    reply: Reply, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    fleet, nodes = proved({"prove": reply})

    assert fleet.failed() == {"a"}
    written = record(nodes["a"].of("record").command)
    assert set(written) == {
        *("version", "failed", "at", "release", "runtimes"),
        *("checks", "outcomes", "took_s", "image"),
    }
    assert written["failed"]
    assert (written["release"], written["checks"]) == (RELEASE, len(MADE))
    assert said in caplog.text
    assert "gvisor.proof: probe on @fake/a: not proven" in caplog.text


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param(
            Reply(["node\tended\tanother proof runs on this node; wait, then run again"], ok=False),
            "another proof runs on this node; wait, then run again",
            id="busy",
        ),
        pytest.param(
            Reply([*output()[:9], OVERDUE], ok=False, stderr=["x"]),
            "the proof did not end within 120 s; run again when the node is less busy",
            id="time-ran-out",
        ),
        pytest.param(
            Reply(output(), ok=False, stderr=[REFUSED, "exit status 1"]),
            "the probe broke off: failed to mount /a: invalid argument; see dockerd's log",
            id="broken-off",
        ),
    ],
)
def test_a_proof_that_could_not_be_made_says_why_once_and_leaves_an_earlier_one(
    reply: Reply, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    earlier = {"fingerprint": "of-another-state", "at": "2026-11-01T10:00:00+00:00"}
    given = converged()
    state = answer(**{**given, "state": {**given["state"], "proof": earlier}})
    nodes = {"a": Node([state], {"prove": reply}), "good": Node([proven_answer()])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.proof, RELEASE, profiles=PROFILES)
    fleet.run()

    assert fleet.failed() == {"a"}
    sent = nodes["a"].of("record").command
    assert "\nrecord=proof-try.json\n" in sent
    assert record(sent)["why"] in caplog.text
    errors = [item.getMessage() for item in caplog.records if item.levelname == "ERROR"]
    assert [line for line in errors if "Error: executed" not in line] == errors[:1]
    assert f"gvisor.proof: probe on @fake/a: could not be made: {said}" in caplog.text
    assert "the record of the proof at 2026-11-01T10:00:00+00:00 is left as it is" in caplog.text
    assert "NOT PROVEN" not in caplog.text


def test_a_proof_that_cannot_be_written_down_is_no_success(
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = Reply(ok=False, stderr=["No space left on device"])

    fleet, _ = proved({"prove": SHOWN, "record": full})

    assert fleet.failed() == {"a"}
    assert "proof.json on @fake/a: No space left on device" in caplog.text


def shown(caplog: pytest.LogCaptureFixture, host: str = "a") -> list[str]:
    """What the proof said about a host."""
    return [
        line.split("] ", 1)[1].strip()
        for line in caplog.text.splitlines()
        if f"[@fake/{host}] " in line
    ]


def test_a_proof_that_passes_is_one_line_with_the_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")

    proved({"prove": SHOWN})

    left = len(ASKED) - len(MADE)
    assert shown(caplog)[1:-1] == [
        f"proven runsc {RELEASE} as runsc: {len(MADE)} ok, {left} not applicable"
    ]


def test_of_a_proof_that_fails_the_rows_that_are_not_ok_are_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")

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


def test_every_row_is_shown_on_request_with_the_risk_under_the_table(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")

    _, nodes = proved({"prove": SHOWN}, risks=[RISK], rows=True)

    lines = [line for line in shown(caplog) if line[:1].isalpha()]
    first = next(at for at, line in enumerate(lines) if line.startswith("kernel-inside"))
    checks = [line.split()[0] for line in lines[first : lines.index(RISK)]]
    assert [check for check in checks if check in {item.id for item in ASKED}] == [
        item.id for item in ASKED
    ]
    assert record(nodes["a"].of("record").command)["risks"] == [RISK]


@pytest.mark.parametrize(
    ("when", "kinds"),
    [
        pytest.param("changed", ["state"], id="changed"),
        pytest.param("never", ["state"], id="never"),
        pytest.param("always", ["state", "prove", "record"], id="always"),
    ],
)
def test_a_proven_node_is_proven_anew_only_on_request(when: str, kinds: list[str]) -> None:
    nodes = {"a": Node([proven_answer()], {"prove": SHOWN})}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(gvisor.proof, RELEASE, profiles=PROFILES, when=when)
    fleet.run()

    assert list(dict.fromkeys(nodes["a"].kinds())) == kinds


def test_the_probe_runs_under_every_runtime_and_under_the_control_within_a_time() -> None:
    _, nodes = proved({"prove": SHOWN})

    command = nodes["a"].of("prove").command
    assert command.startswith("sh -c ")
    assert "silent_s=60\nfast_s=120\n" in command
    assert "runtimes='\"'\"'runsc runc'\"'\"'\n" in command


def test_the_image_is_handed_to_the_probe_and_makes_a_proof_of_its_own() -> None:
    _, nodes = proved({"prove": SHOWN}, image="shop:1")

    assert "image=shop:1\n" in nodes["a"].of("prove").command
    written = record(nodes["a"].of("record").command)
    assert written["image"] == "shop:1"
    assert written["fingerprint"] != fingerprint(node(**converged()), RELEASE, PROFILES)


ALLOWED = Egress.model_validate({"allow": [{"to": "10.0.0.5", "ports": ["5432"]}]})
OPEN = dict.fromkeys(STOPPED, "not in force, connected")


def behind(firewall: Egress, shown: Reply) -> tuple[Fleet, Node]:
    """A proof of a node with a firewall, beside one on which all is well."""
    nodes = {name: Node([CONVERGED], {"prove": SHOWN}) for name in ("a", "good")}
    nodes["a"].replies = {"prove": shown}
    fleet = Fleet(nodes)
    fleet.add(
        gvisor.proof,
        RELEASE,
        profiles=PROFILES,
        no_new_privileges=True,
        declared=declaring(firewall),
    )
    fleet.run()
    return fleet, nodes["a"]


def test_a_firewall_that_is_declared_is_tried_and_makes_a_proof_of_its_own() -> None:
    fleet, found = behind(ALLOWED, SHOWN)

    assert fleet.failed() == set()
    assert " allowed=10.0.0.5=5432'" in found.of("prove").command
    written = record(found.of("record").command)
    assert written["checks"] == len(MADE) + len(EGRESS_CHECKS)
    with_it, without = (
        fingerprint(node(**converged()), RELEASE, PROFILES, declared=declaring(egress))
        for egress in (ALLOWED, None)
    )
    assert written["fingerprint"] == with_it != without


def test_a_firewall_that_lets_a_sandbox_out_fails_the_host_with_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = Reply(output(runsc={**OPEN, "egress_allowed": None}, runc=OPEN))

    fleet, found = behind(Egress(), shown)

    assert fleet.failed() == {"a"}
    assert record(found.of("record").command)["failed"] == [
        "egress-metadata",
        "egress-node",
        "egress-private",
        "egress-smtp",
    ]
    assert (
        "egress-metadata, egress-private, egress-smtp, egress-node (critical): "
        "run deploys/gvisor.py to load the rules; see docs/egress.md"
    ) in caplog.text


@pytest.mark.parametrize(
    ("wanted", "live", "outcome"),
    [
        pytest.param(True, False, "became root", id="wanted-and-not-live"),
        pytest.param(None, True, "became root", id="live"),
        pytest.param(False, True, "is switched off", id="given-up"),
    ],
)
def test_no_new_privileges_is_proven_where_it_has_to_be_in_force(
    wanted: bool | None, live: bool, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    given = converged()
    options = ["name=no-new-privileges"] if live else []
    docker = {**given["docker"], "SecurityOptions": options}
    state = answer(**{**given, "docker": docker})
    nodes = {"a": Node([state], {"prove": Reply(BECAME_ROOT)}), "good": Node([proven_answer()])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.proof, RELEASE, profiles=PROFILES, no_new_privileges=wanted, rows=True)
    fleet.run()

    row = next(line for line in caplog.text.splitlines() if "no-new-privs  " in line)
    assert outcome in row
    assert (fleet.failed() == {"a"}) is (outcome == "became root")


def test_sudo_is_passed_on_to_every_command_of_the_proof() -> None:
    nodes = {"a": Node([CONVERGED], {"prove": SHOWN})}
    fleet = Fleet(nodes)

    fleet.add(gvisor.proof, RELEASE, profiles=PROFILES, _sudo=True)
    fleet.run()

    assert nodes["a"].kinds()[-2:] == ["prove", "record"]
    assert all(sent.sudo for sent in nodes["a"].sent)


def test_preparing_proves_nothing() -> None:
    nodes = {"a": Node([CONVERGED])}

    meta = Fleet(nodes).add(gvisor.proof, RELEASE, profiles=PROFILES)

    assert meta["a"].will_change
    assert nodes["a"].kinds() == ["state"]
