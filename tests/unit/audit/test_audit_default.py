"""The audit of a node on which every container runs in gVisor that is no infrastructure."""

import hashlib
from typing import Any

from pyinfra_gvisor.audit.default_rules import DEFAULT_RULES
from pyinfra_gvisor.coolify.declared_apps import DeclaredApp, DeclaredApps
from pyinfra_gvisor.parts.divert.files import PROGRAM
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.report.document import HostReport
from tests.cases.proven import INSTALLED, proven, proven_answer
from tests.table import table
from tests.unit.answers import Running, answer, compact, info, installed
from tests.unit.audit.audited import BARE, COOLIFY, app, audited, found, ids
from tests.unit.parts.judge_answers import told as judge_told
from tests.unit.parts.keeper_answers import keeping
from tests.unit.planning.test_preflight import settings_of

DEFAULT = {"gvisor_default": "sandbox"}
IMAGE, NOT_ACCEPTED = "image sha256:ab", "is not accepted on this node"
ACCEPT = "run pyinfra-gvisor accept"


# A node whose default runtime is ours, and was proven.
ANSWER = keeping([*judge_told(), *answer(**proven(settings_of(**DEFAULT)))], **DEFAULT)


def place(name: str, where: str, **changes: Any) -> str:
    """The line that says where a container would run."""
    known = {"id": hashlib.sha256(name.encode()).hexdigest(), "name": name, "where": where}
    given = {"asked": "gvisordefault", "why": "not infrastructure", "when": "start", **changes}
    return "place " + compact({**known, **given})


def judged(*lines: str, apps: DeclaredApps | None = None) -> HostReport:
    """The report on a node whose answer also has these lines."""
    return audited(*lines, settings=DEFAULT, apps=apps, answer=ANSWER)


def test_every_container_must_run_in_gvisor_whatever_its_labels_are() -> None:
    bare = app(labels={}, **BARE)

    report = judged(*bare.lines(), place("shop", "sandbox", asked="runc", when="recreated"))

    finding = found(report)["container-unsandboxed shop"]
    assert finding.severity is Severity.CRITICAL
    assert "docker compose up -d --force-recreate" in finding.remedy
    assert "if its file has one" in finding.remedy
    assert "pyinfra-gvisor accept NAME" in finding.remedy
    assert "gvisor_exempt" not in finding.remedy
    assert report.containers[0].must


@table(
    "container, where, must",
    infrastructure_whatever_its_labels_are=(app(labels=COOLIFY, **BARE), "runc", False),
    a_sandbox_that_asked_for_nothing=(app(runtime="gvisordefault"), "sandbox", True),
)
def test_what_runs_where_it_has_to_is_in_order(container: Running, where: str, must: bool) -> None:
    report = judged(*container.lines(), place("shop", where))

    assert found(report) == {}
    assert report.containers[0].must is must


@table(
    "lines", not_told=[], half_an_answer=["preview asked"], an_error=['preview_error "no answer"']
)
def test_a_container_of_which_nobody_knows_whether_it_is_infrastructure_must_run_in_gvisor(
    lines: list[str],
) -> None:
    report = judged(*app(**BARE).lines(), *lines)

    assert "container-unsandboxed" in ids(report)
    assert ("infrastructure-unknown" in ids(report)) is bool(lines)


@table(
    "changes, where, remedy",
    restart=({"when": "start"}, "sandbox", "Restart the container"),
    recreate=({"asked": "runc", "when": "recreated"}, "sandbox", "--force-recreate"),
    refused=({"why": "privileged"}, "refused", "Remove the refused options"),
)
def test_the_remedy_helps_this_container(changes: dict[str, Any], where: str, remedy: str) -> None:
    report = judged(*app(**BARE).lines(), place("shop", where, **changes))

    assert remedy in found(report)["container-unsandboxed shop"].remedy


def test_a_node_as_declared_is_clean_and_infrastructure_in_gvisor_is_a_note_at_most() -> None:
    proxy = app(runtime="gvisordefault", labels={})

    report = judged(*proxy.lines(), place("shop", "runc", why="proxy: routes all apps"))

    about = [item for item in found(report).values() if item.subject == "shop"]
    assert {item.severity for item in about} == {Severity.INFO}
    assert [item.id for item in about] == ["infrastructure-sandboxed"]
    assert found(judged()) == {}


@table(
    "changes, runs, severity",
    running=({}, True, Severity.HIGH),
    stopped=({}, False, Severity.MEDIUM),
    once_it_is_recreated=({"asked": "runc", "when": "recreated"}, True, Severity.MEDIUM),
)
def test_a_container_that_would_not_start_again_is_found_with_the_reason(
    changes: dict[str, Any], runs: bool, severity: Severity
) -> None:
    shop = app()
    lines = shop.lines() if runs else []

    report = judged(*lines, place("shop", "refused", why="sysctl a.b", **changes))

    finding = found(report)["container-refused shop"]
    assert finding.severity is severity
    assert "sysctl a.b" in finding.evidence


@table(
    "why, severity",
    bind=("mount of /etc on /data (directory of the node)", Severity.HIGH),
    volume=("sysctl a.b; mount of /v/x/_data on /etc (which is /etc)", Severity.HIGH),
    made_by_docker=("mount of /no on /data (not found)", Severity.HIGH),
    network=("mount of :/share on /data (network file system)", Severity.MEDIUM),
)
def test_a_refused_mount_may_have_had_its_effect(why: str, severity: Severity) -> None:
    finding = found(judged(place("shop", "refused", why=why)))["container-refused shop"]
    written = "Docker may already have written to /" in finding.remedy
    assert (finding.severity, written) == (severity, severity is Severity.HIGH)


@table(
    "why, remedy",
    shape=(f"{IMAGE} of coolify-proxy (a:3) {NOT_ACCEPTED}", f"{ACCEPT} agent"),
    shape_whose_image_says_all=(
        *(f"{IMAGE} of coolify-sentinel (x/sentinel:3) {NOT_ACCEPTED}", f"{ACCEPT} sha256:ab"),
    ),
    entry=("privileged; not the accepted coolify-helper: other user", "Recreate"),
)
def test_a_refused_container_of_the_platforms_is_down_and_grave(why: str, remedy: str) -> None:
    finding = found(judged(place("agent", "refused", why=why)))["container-refused agent"]
    assert finding.severity is Severity.HIGH
    assert remedy in finding.remedy


@table(
    "settings, severity",
    default=(DEFAULT, Severity.HIGH),
    seal=({"gvisor_seal": {}}, Severity.HIGH),
    no_judge=({}, Severity.LOW),
)
def test_a_way_past_the_judge_is_found(settings: dict[str, Any], severity: Severity) -> None:
    lines = ("foreign_shim /usr/bin/containerd-shim-kata-v2", "foreign_runsc old")

    report = audited(*lines, settings=settings)

    told = [found(report)[f"judge-bypassed {item}"] for item in (lines[0][13:], "runtime old")]
    assert {item.severity for item in told} == {severity}
    assert told[0].evidence == "docker run --runtime io.containerd.kata.v2 starts it"


def test_a_shim_is_named_by_a_runtime_and_a_variable_that_runsc_obeys_is_grave() -> None:
    path = "/usr/local/bin/containerd-shim-runsc-v1-old"

    shim = found(audited(f"foreign_shim {path}", settings=DEFAULT))[f"judge-bypassed {path}"]
    variable = found(audited("gvisor_variable containerd GVISOR_ENFORCE_RELEASE"))

    assert shim.evidence == "docker run --runtime io.containerd.runsc.v1-old starts it"
    finding = variable["runsc-environment containerd"]
    assert finding.severity is Severity.HIGH
    assert finding.evidence == "was started with GVISOR_ENFORCE_RELEASE"


def test_a_seal_alone_leaves_the_policy_as_it_was_and_a_remedy_says_what_to_type() -> None:
    bare = app(labels={}, **BARE)
    (rule,) = (item for item in DEFAULT_RULES if item.id == "image-not-accepted")

    report = audited(
        *bare.lines(), place("other", "refused", why="privileged"), settings={"gvisor_seal": {}}
    )

    assert "container-refused other" in found(report)
    assert "container-unsandboxed" not in ids(report)
    assert "run pyinfra-gvisor accept IMAGE_ID on the controller" in rule.remedy
    assert "the finding has the id" in rule.remedy


@table(
    "shapes, severity, thing",
    of_the_platform=(["coolify-helper"], Severity.HIGH, "sha256:abc"),
    that_users_run_too=(["coolify-proxy"], Severity.MEDIUM, "coolify-proxy"),
)
def test_an_image_that_nobody_accepted_is_found_with_the_command_that_accepts_it(
    shapes: list[str], severity: Severity, thing: str
) -> None:
    image = {"id": "sha256:abc", "names": ["helper:2"], "shapes": shapes}

    finding = found(judged("unaccepted " + compact(image)))["image-not-accepted image helper:2"]
    assert finding.severity is severity
    assert f"run pyinfra-gvisor accept {thing}. Or remove" in finding.remedy


def test_another_default_runtime_is_said_once_and_also_where_no_plan_can_say_it() -> None:
    planned = audited(settings=DEFAULT)
    unplanned = audited(settings=DEFAULT, answer=proven_answer(daemon_json="{ broken"))

    about = [item.id for item in planned.findings if "default-runtime" in item.evidence + item.id]
    finding = found(unplanned)["default-runtime-other dockerd"]
    assert about == ["daemon-json-not-declared"]
    assert finding.severity is Severity.CRITICAL
    assert "runc" in finding.evidence


def test_the_default_runtime_has_the_options_of_its_sandboxes_and_no_app_has_to_ask_for_it() -> (
    None
):
    old = "20240729.0"  # in which the host's network needs a capability for low ports
    program = f"/opt/gvisor/releases/{old}/runsc"
    shop = app(runtime="gvisordefault", executable=program, given={"Ports": ["80/tcp"]})
    labelled = app(runtime="gvisordefault", labels={**COOLIFY, "coolify.applicationId": "7"})
    apps = DeclaredApps(apps={"7": DeclaredApp(uuid="u", name="shop", runtime=None)})

    report = judged(*installed(old), *shop.lines(), place("shop", "sandbox"))
    asked = judged(*labelled.lines(), place("shop", "sandbox"), apps=apps)

    assert "container-low-port" in ids(report)
    assert "app-option-missing" not in ids(asked)


_SUM, _PLACE = "5" * 64, "/usr/sbin/runc"
TAKES_RUNC = (
    *(f"divert place {_PLACE}", f"divert small {_SUM}  {_PLACE}"),
    *(f"divert is 755:0:0 2600 {_PLACE}", f"divert is 755:0:0 9 {_PLACE}.pyinfra-gvisor"),
    *(f"divert sum {_SUM} {PROGRAM}", f"divert stat 755:0:0 {PROGRAM}"),
)


@table(
    "name",
    runc="runc",
    a_shim="io.containerd.runc.v2",
    a_shim_that_is_not_listed="x.runc.v2",
    a_registered_alias="compat",
)
def test_a_sandbox_that_asked_for_runc_has_the_options_of_the_default_runtime(name: str) -> None:
    runsc = {"network": "host", "flags": ["--oci-seccomp"]}
    settings = {"gvisor_default": "sandbox-all", "gvisor_runtimes": {"runsc": runsc}}
    alias = {"compat": {"runtimeType": "io.containerd.runc.v2"}}
    old = "20240729.0"  # in which the host's network needs a capability for low ports
    shop = app(
        runtime=name,
        executable=f"/opt/gvisor/releases/{old}/runsc",
        given={
            "Ports": ["80/tcp"],
            "SecurityOpt": ["seccomp=unconfined"],
            "Annotations": {"dev.gvisor.flag.net-raw": "true"},
        },
    )

    report = audited(
        *(*TAKES_RUNC, *installed(old), *shop.lines()),
        place("shop", "sandbox", asked=name),
        settings=settings,
        answer=answer(**{**INSTALLED, "docker": info(runtimes=alias)}),
    )

    about = {item.id: item for item in found(report).values() if item.subject == "shop"}
    assert report.containers[0].sandboxed
    assert "container-low-port" in about
    assert about["container-seccomp"].severity is Severity.MEDIUM
    assert about["container-annotation"].severity is Severity.HIGH
