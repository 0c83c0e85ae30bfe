"""A platform works without a patch where gVisor is the default, and nobody can pass for it."""

import json
import re
from collections.abc import Iterator

import pytest

from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, RUNC_BY_NAME
from tests.node.audits import Audit
from tests.node.dispatching import KINDS, Ground
from tests.node.platform_flow import (
    APPS,
    HELPER,
    PROXY_FILE,
    TENANTS,
    UUID,
    Seen,
)
from tests.node.platform_imitators import IMITATORS
from tests.node.platform_story import (
    BEFORE,
    REFUSED_LATER,
    RUNC_IS_RUNC,
    Story,
    clear,
    tell,
)
from tests.node.proving import rows

pytestmark = pytest.mark.slow
IN_GVISOR = ("kernel-release", "process-outside", "docker-socket", "seal")
ROUTED = "".join(f"{name} {GVISOR_KERNEL}\n" for name in ("app", "service", "database"))


@pytest.fixture(scope="module")
def story(dispatch: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """What happened on all nodes."""
    yield tell(dispatch, tmp_path_factory.mktemp("platform"))
    clear(dispatch)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return the name of each node."""
    return str(request.param)


def works(seen: Seen) -> bool:
    """Return True if everything is where it belongs, and the proxy leads to the app."""
    return (
        seen.tenants == dict.fromkeys(TENANTS, True)
        and seen.platform == {"coolify-proxy": False, UUID: False}
        and seen.socket == "linux"
        and seen.routed == ROUTED
    )


def lines_of(kind: str, text: str) -> str:
    """Return what a run of pyinfra said of a node."""
    return "\n".join(re.findall(rf"\[{kind}\] +(.*)", text))


def test_a_dry_run_says_before_the_switch_where_each_container_would_run(
    story: Story, kind: str
) -> None:
    said = lines_of(kind, story.planned.stderr)

    assert story.accepted.returncode == 0, story.accepted.stderr
    assert "coolify-proxy: runc (coolify-proxy: the platform of these tests)" in said
    later = "stays under runc until it is recreated, then gVisor"
    if kind not in RUNC_IS_RUNC:  # it asks for runc
        later = "runc now, gVisor after the next start"
    assert f"{BEFORE}: {later}" in said
    assert re.search(f"{REFUSED_LATER}: .* REFUSED: mount of /var/backups on /backup", said)
    again = "stays, but Docker would refuse a new one"
    assert re.search(f"volume volume-before {again}: .* holds files of the node", said)
    assert f"network network-before {again}: driver macvlan; the interface eth0 of the node" in said


def test_coolify_deploys_without_a_patch(story: Story, kind: str) -> None:
    seen = story.deployed[kind]

    assert not story.before[kind]
    assert story.switched.code == 0, story.switched.text
    assert works(seen), seen


def test_the_proof_shows_a_container_that_asks_for_no_runtime_in_gvisor(
    story: Story, kind: str
) -> None:
    asking = {RUNC_BY_NAME} if kind not in RUNC_IS_RUNC else set()
    found = {
        name: rows(story.switched, name, on=kind)
        for name in ("runsc", DEFAULT_RUNTIME, RUNC_BY_NAME)
    }

    assert {name for name, lines in found.items() if lines} == {"runsc", DEFAULT_RUNTIME} | asking
    for lines in (found[name] for name in (DEFAULT_RUNTIME, *asking)):
        assert [line for line in lines.values() if not line.endswith((" ok", " n/a"))] == []
        assert all(lines[check].endswith(" ok") for check in IN_GVISOR)
        assert lines["build-kernel"].endswith(" ok" if asking else " n/a")


def test_nothing_of_a_deployment_names_a_runtime(story: Story, kind: str) -> None:
    seen = story.deployed[kind]

    assert "runtime" not in json.dumps([APPS, PROXY_FILE])
    runtimes = {name: runtime for name, runtime in seen.runtimes.items() if name != BEFORE}
    assert {*runtimes} == {*TENANTS, "coolify-proxy", UUID}
    assert {*runtimes.values()} == {"gvisordefault"}


def test_an_imitator_stays_in_the_sandbox_or_is_refused(story: Story, kind: str) -> None:
    came = story.imitators[kind]

    assert {*came} == {*IMITATORS}
    assert {name: one for name, one in came.items() if not one.is_held} == {}


def test_by_the_name_of_runc_it_gains_nothing(story: Story) -> None:
    came = {(kind, name): one for kind in KINDS for name, one in story.by_name[kind].items()}

    assert {name for _, name in came} == {*IMITATORS}
    assert {key: one for key, one in came.items() if not one.is_held} == {}


def test_what_asks_for_nothing_wrong_starts_in_the_sandbox(story: Story, kind: str) -> None:
    came = story.allowed[kind]

    assert came.said == ""
    assert came.is_held


def test_an_app_that_takes_the_tag_of_the_helper_gains_nothing(story: Story, kind: str) -> None:
    refusal = rf"of coolify-helper \({HELPER}\) is not accepted on this node"

    assert re.search(
        f"image {refusal}.* 'pyinfra-gvisor infrastructure", story.poisoned[kind]["app"]
    )
    assert re.search(f"image sha256:[0-9a-f]{{64}} {refusal}", story.poisoned[kind]["helper"])


def test_a_new_helper_is_refused_with_the_command_that_accepts_it(story: Story, kind: str) -> None:
    said, left = story.refused[kind]
    before, meanwhile = story.deployed[kind], story.meanwhile[kind]

    assert re.search(rf"\({HELPER}\) is not accepted on this node\. .*", said)
    assert len(re.findall(r"pyinfra-gvisor accept sha256:[0-9a-f]{64}", said)) == 1
    assert left == ""
    assert not works(meanwhile)
    assert meanwhile.apps == before.apps
    assert meanwhile.routed == ROUTED


def test_once_it_is_accepted_it_deploys_again_beside_what_runs(story: Story, kind: str) -> None:
    seen = story.again[kind]

    assert story.accepted_new.returncode == 0, story.accepted_new.stderr
    assert works(seen), seen
    assert seen.apps == story.deployed[kind].apps


def grave(audit: Audit) -> set[str]:
    """Return the findings for which an audit fails."""
    return {key for key, item in audit.found.items() if item["severity"] in {"critical", "high"}}


def test_the_audit_passes_with_the_platform_and_finds_what_does_not_belong(
    story: Story, kind: str
) -> None:
    found, clean = story.found[kind], story.clean[kind]

    other = {key for key in grave(found) if not key.startswith("image-not-accepted ")}
    assert other == {f"container-unsandboxed {BEFORE}"}, "judged by its process"
    assert grave(found) != other
    assert found.outcome.code == 1
    assert grave(clean) == set()
    assert clean.outcome.code == 0, clean.outcome.text
