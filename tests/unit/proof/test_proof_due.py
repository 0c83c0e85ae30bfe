"""When isolation has to be proven again, which checks apply then, and how long a probe may take."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.proof import verdict as proof
from pyinfra_gvisor.proof.judges import MEMORY_LIMIT
from pyinfra_gvisor.proof.script import probe_script
from pyinfra_gvisor.proof.skipped_checks import no_new_privileges, skipped_checks, why_not_reload
from pyinfra_gvisor.proof.verdict import fingerprint, is_due
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import Settings
from tests.table import table
from tests.unit.answers import EARLIER_S, LATER_S, RUNSC, Running, after, info, node
from tests.unit.egress.egress_states import declaring
from tests.unit.shells import run, stub

RELEASE = "20260928.0"
PROFILES = {"runsc": Runtime()}
GIVEN: dict[str, Any] = {
    "daemon_json": "{}",
    "wrappers": {RUNSC["path"]: "0" * 64},
    "docker": info(runtimes={"runsc": RUNSC}),
}
PROVEN = {"proof": {"fingerprint": fingerprint(node(**GIVEN), RELEASE, PROFILES)}}
WANTED: dict[str, Any] = {"live-restore": True, "debug": True, "runtimes": {"runsc": RUNSC}}
APPLIED = after(plan_daemon_json(node(), WANTED))
NETWORKS = {"runsc": Runtime(), "net": Runtime(network="sandbox"), "off": Runtime(network="none")}
LIVE = "name=no-new-privileges"


def due(when: str = "changed", **changes: Any) -> bool:
    """Whether a node that was proven has to be proven anew after these changes."""
    found = node(**{**GIVEN, "state": PROVEN, **changes})
    return is_due(found, PROFILES, when, fingerprint(found, RELEASE, PROFILES))


@table(
    "is_due_then, changes",
    as_last_proven=(False, {}),
    never_proven=(True, {"state": {}}),
    record_empty=(True, {"state": {"proof": {}}}),
    record_null=(True, {"state": {"proof": None}}),
    record_a_list=(True, {"state": {"proof": []}}),
    record_of_another_state=(True, {"state": {"proof": {"fingerprint": "0" * 64}}}),
    kernel=(True, {"uname": "6.12.10+deb13-amd64 x86_64"}),
    runtimes_path=(True, {"docker": info(runtimes={"runsc": {"path": "/x"}})}),
    runtime_gone=(True, {"docker": info()}),
    docker_version=(True, {"docker": {**GIVEN["docker"], "ServerVersion": "28.5.2"}}),
    daemon_json=(True, {"daemon_json": '{"debug": true}'}),
    wrappers_text=(True, {"wrappers": {RUNSC["path"]: "1" * 64}}),
    a_container=(False, {"containers": [Running("app")]}),
    dockerd_restarted=(False, {"ticks": 9_999}),
    anothers_runtime=(False, {"docker": info(runtimes={"runsc": RUNSC, "kata": {"path": "/x"}})}),
    always_asked_for=(True, {"when": "always"}),
    never_asked_for=(False, {"when": "never", "state": {}}),
)
def test_a_proof_is_due_when_its_outcome_could_be_another_or_it_is_asked_for(
    is_due_then: bool, changes: dict[str, Any]
) -> None:
    assert due(**changes) is is_due_then


CLAIMS: list[dict[str, Any]] = [
    {},
    {"release": "20260831.0"},
    {"runtimes": {"runsc": Runtime(platform="kvm")}},
    {"runtimes": {**PROFILES, "net": Runtime()}},
    {"image": "shop:1"},
    {"image": "shop:2"},
]


def test_whatever_else_is_claimed_is_proven_anew() -> None:
    usual = {"release": RELEASE, "runtimes": PROFILES}

    found = {fingerprint(node(**GIVEN), **{**usual, **claim}) for claim in CLAIMS}

    assert len(found) == len(CLAIMS)


def firewalled(**changes: Any) -> str | None:
    """What a proof of a node with a firewall would be known by."""
    declared = changes.pop("declared", Egress())
    loaded = {"now": "a" * 64, "as_loaded": "a" * 64, "loaded_from": "b" * 64, **changes}
    found = node(**GIVEN).model_copy(update={"parts": {"egress": EgressState(**loaded)}})
    return fingerprint(found, RELEASE, PROFILES, declared=declaring(declared))


@table(
    "changes",
    taken_away={"declared": None},
    declared_otherwise={"declared": Egress(block=("metadata",))},
    loaded_from_other_rules={"loaded_from": "c" * 64},
    changed_in_the_kernel={"now": "c" * 64},
    gone={"now": None},
)
def test_another_firewall_makes_a_proof_due(changes: dict[str, Any]) -> None:
    assert firewalled(**changes) != firewalled()


def test_a_check_of_later_makes_a_proof_due_but_no_undeclared_rules_nor_no_runtime(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    down = node(without=("info",), state={"proof": {"fingerprint": ""}})
    digest = fingerprint(down, RELEASE, PROFILES)

    assert firewalled(declared=None) == PROVEN["proof"]["fingerprint"]
    assert is_due(node(), {}, "always", fingerprint(node(), RELEASE, {})) is False
    assert (digest, is_due(down, PROFILES, "changed", digest)) == (None, True), "never proven"
    monkeypatch.setattr(proof, "CHECKS", proof.CHECKS[1:])
    assert due() is True


def changed(**given: Any) -> Node:
    """A node on which our change is in force, but for what is given."""
    return node(**{**APPLIED, **given})


@table(
    "found, said",
    as_we_applied_it=(changed(), None),
    a_key_changed_since=(
        changed(daemon_json=APPLIED["daemon_json"].replace('"debug": true', '"debug": false')),
        "has not read",
    ),
    a_runtime_changed_since=(
        changed(daemon_json=APPLIED["daemon_json"].replace(RUNSC["path"], "/x")),
        "has not read",
    ),
    not_live=(changed(docker=info(runtimes={"runsc": RUNSC})), "has not read"),
    loses_something=(
        changed(docker={**APPLIED["docker"], "ServerVersion": "28.5.2"}),
        "forgets host-gateway",
    ),
    another_dockerd_and_a_newer_file=(changed(ticks=6_001), "not known"),
    older_than_dockerd=(node(daemon_json='{"debug": true}', mtime_s=EARLIER_S), None),
    newer_than_dockerd=(node(daemon_json='{"debug": true}', mtime_s=LATER_S), "not known"),
    no_file=(node(), "no daemon.json"),
    no_json=(node(daemon_json="{", mtime_s=EARLIER_S), "cannot be read"),
    interrupted=(changed(pending=""), "was interrupted"),
    docker_down=(changed(without=("info",)), "no daemon.json"),
)
def test_dockerd_is_reloaded_only_with_a_file_that_it_read(found: Node, said: str | None) -> None:
    why = why_not_reload(found)

    assert why is None if said is None else said in (why or "")


@table(
    "settings, wanted",
    hardened=({}, True),
    given_up=({"gvisor_daemon_json": {"no-new-privileges": False}}, False),
    left_alone=({"gvisor_daemon_json": {"no-new-privileges": None}}, None),
    a_restart_may_stay_owed=({"gvisor_restart": "reload"}, None),
    nonsense=({"gvisor_daemon_json": {"no-new-privileges": "yes"}}, None),
)
def test_whether_no_new_privileges_is_wanted_is_read_from_the_settings(
    settings: dict[str, Any], wanted: bool | None
) -> None:
    assert no_new_privileges(Settings.model_validate(settings)) is wanted


@table(
    "options, given, left_out",
    live=([LIVE], {}, {}),
    not_live=(["name=seccomp"], {}, {"no-new-privs": ""}),
    wanted_and_not_live=(["name=seccomp"], {"wanted": True}, {}),
    given_up=([LIVE], {"wanted": False}, {"no-new-privs": ""}),
    remapped_users=([LIVE, "name=userns"], {}, {"docker-socket": "runc cannot open"}),
    no_reload=([LIVE], {"no_reload": "not now"}, {"reload": "not now"}),
)
def test_a_check_is_left_out_only_where_it_could_not_show_anything(
    options: list[str], given: dict[str, Any], left_out: dict[str, str]
) -> None:
    found = node(docker=info(SecurityOptions=options))
    usual = {"wanted": None, "no_reload": None, "declared": declaring(Egress())}

    skipped = skipped_checks(found, **{**usual, **given})

    assert skipped.keys() - {"build-kernel", "door", "egress-allowed"} == left_out.keys()
    assert all(why in skipped[check] for check, why in left_out.items())


def test_the_script_reloads_only_where_it_may_and_knows_networks_image_and_limit() -> None:
    with_reload = probe_script(changed(), NETWORKS, image="shop:1")
    without = probe_script(changed(), NETWORKS, no_reload="not now")

    assert "systemctl reload" in with_reload
    assert f"expect_sha256={changed().daemon_json.sha256}\n" in with_reload
    assert "systemctl reload" not in without
    assert "no_reload='not now'\n" in without
    assert "runtimes='runsc net off runc'\n" in with_reload
    assert "offline=off\n" in with_reload
    assert "image=shop:1\n" in with_reload
    assert f"memory={MEMORY_LIMIT} " in script("proof/containers"), "the limit that is judged"


REFUSES = "failed to connect; check the path: no such file"
QUOTED = "failed to connect, check the path: no such file; repair Docker, then run again"
TELL = 'echo "$probe_timeout_s"'


def ran(
    tmp_path: Path, docker: str, probe: str = TELL, **limits: int
) -> subprocess.CompletedProcess[str]:
    """What comes of a probe on a node with such a Docker."""
    stub(tmp_path, "docker", docker)
    given = {"silent_s": 10, "fast_s": 120, "per_answer_s": 400, "most_s": 3600, **limits}
    path = Path(f"{tmp_path}:/usr/bin:/bin")
    return run(script("proof/within", **given), probe, path=path, timeout_s=60)


@table(
    "answer_s, limits, least, most",
    at_once=("0", {}, 120, 400),
    half_a_second=("0.5", {}, 320, 500),
    no_more_than_the_most=("0.2", {"most_s": 150}, 150, 150),
)
def test_a_node_gets_the_more_time_the_longer_its_docker_takes(
    tmp_path: Path, answer_s: str, limits: dict[str, int], least: int, most: int
) -> None:
    told = ran(tmp_path, f"sleep {answer_s}", **limits)

    assert told.returncode == 0, told.stderr
    assert least <= int(told.stdout) <= most


@table(
    "docker, said",
    hangs=("exec sleep 60", "Docker has not answered within 1 s"),
    refuses=(f"echo '{REFUSES}' >&2; exit 1", f"Docker does not answer: {QUOTED}\n"),
)
def test_a_silent_docker_is_named_and_nothing_tried(tmp_path: Path, docker: str, said: str) -> None:
    told = ran(tmp_path, docker, silent_s=1)

    assert told.returncode == 1
    assert told.stdout.startswith(f"node\tended\t{said}")


def test_a_probe_that_takes_longer_is_asked_to_tidy_up(tmp_path: Path) -> None:
    probe = "trap 'echo tidied; exit 1' TERM; sleep 30 & wait"

    told = ran(tmp_path, "true", probe, fast_s=1, per_answer_s=0)

    assert (told.returncode, told.stdout) == (124, "tidied\n")
