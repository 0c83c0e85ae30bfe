"""Apps, builds and volumes in an audit: who must be in a sandbox, and what opens the node."""

from typing import Any

from pyinfra_gvisor.coolify.declared_apps import DeclaredApp, DeclaredApps
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.policy.selectors import COOLIFY as COOLIFY_APPS
from pyinfra_gvisor.policy.selectors import (
    Exemption,
    Selector,
    exempted,
    label_names,
    must_be_sandboxed,
)
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.settings import load_settings
from tests.table import table
from tests.unit.answers import Running, compact
from tests.unit.audit.audited import BARE, COOLIFY, app, audited, found, ids, waived, with_container
from tests.unit.coolify.coolify_answers import HONOURED, container, host, patched, persistent, php

UUID = "wkg0ok8s8k4wco04ws4gcw0c"
LABELS = {**COOLIFY, "coolify.applicationId": "7", "coolify.pullRequestId": "0"}
DAMAGED = php("damaged", "reason two returns", probe=None)
CACHE = "build_cache 18 2026-11-25T14:05:19Z"
HELPER = "ghcr.io/coollabsio/coolify-helper:1.0.12"
BUILDER = "moby/buildkit:buildx-stable-1"
NO_GVISOR: dict[str, Any] = {"settings": {"gvisor_runtimes": {}}}
HIGH, LOW, MEDIUM, INFO = Severity.HIGH, Severity.LOW, Severity.MEDIUM, Severity.INFO


@table(
    "selector, name, labels, expected",
    pattern=({"name": "shop-*"}, "shop-1", {}, True),
    not_the_pattern=({"name": "shop-*"}, "shop", {}, False),
    case=({"name": "shop"}, "SHOP", {}, False),
    label=({"labels": {"a": "1"}}, "x", {"a": "1", "b": "2"}, True),
    another_value=({"labels": {"a": "1"}}, "x", {"a": "2"}, False),
    no_label=({"labels": {"a": "1"}}, "x", {}, False),
    one_of=({"labels": {"a": ["1", "2"]}}, "x", {"a": "2"}, True),
    all_labels=({"labels": {"a": "1", "b": "2"}}, "x", {"a": "1"}, False),
    empty_value=({"labels": {"a": ""}}, "x", {"a": ""}, True),
    empty_is_not_missing=({"labels": {"a": ""}}, "x", {}, False),
    both=({"labels": {"a": "1"}, "name": "y"}, "x", {"a": "1"}, False),
)
def test_a_selector_matches_by_all_that_it_names(
    selector: dict[str, Any], name: str, labels: dict[str, str], expected: bool
) -> None:
    assert Selector.model_validate(selector).matches(name, labels) is expected


def test_any_selector_is_enough_the_first_exemption_tells_why_and_few_labels_are_asked() -> None:
    must = (Selector(name="a"), Selector(name="b"))
    exempt = (Exemption(name="b", reason="the first reason"), Exemption(name="*", reason="x" * 10))
    deciding = (COOLIFY_APPS, Selector(labels={"x": "1"}), Selector(name="y"))

    assert must_be_sandboxed(must, "b", {})
    assert not must_be_sandboxed(must, "c", {})
    assert exempted(exempt, "b", {}) == "the first reason"
    assert exempted((), "b", {}) is None
    assert label_names(deciding) == ("coolify.managed", "coolify.type", "x")


@table(
    "key, value, says",
    nothing=("must_sandbox", [{}], "neither labels nor a name is given"),
    a_word=("must_sandbox", "all", "got all"),
    no_reason=("exempt", [{"name": "x"}], "['reason'] is missing"),
    short=("exempt", [{"name": "x", "reason": "short"}], "10 characters"),
    misspelt=("exempt", [{"nam": "x", "reason": "x" * 10}], "unknown key"),
    a_short_waiver=("waivers", {"2.9": "no"}, "10 characters"),
    no_severity=("audit_fail_on", "hgih", "got hgih"),
    no_directory=("report_dir", "", "at least 1 character"),
    relative=("textfile_dir", "relative", "got relative"),
    no_bool=("watch", "yes", "got yes"),
    too_often=("watch_interval_s", 1, "greater than or equal to 10"),
    no_action=("watch_action", "kill", "got kill"),
)
def test_what_makes_no_policy_is_told(key: str, value: Any, says: str) -> None:
    settings, problems = load_settings({f"gvisor_{key}": value})

    assert settings is None
    assert says in problems[f"gvisor_{key}"]


def declared(runtime: str | None = "runsc", *, by_options: bool = True) -> DeclaredApps:
    """A Coolify with one app, whose number is 7."""
    return DeclaredApps({"7": DeclaredApp(UUID, "shop", runtime, by_options)})


def compared(apps: DeclaredApps | None, **container: Any) -> HostReport:
    """The report on a node on which a container of that app runs."""
    return with_container(app(**{"labels": LABELS, **container}), apps)


@table(
    "container, said",
    runc=(BARE, "runc and was not seen in gVisor"),
    no_sandbox=({**BARE, "runtime": "runsc"}, "runsc and was not seen in gVisor"),
    another_one=({"runtime": "gvisor"}, "gvisor and was not seen in gVisor"),
)
def test_an_app_without_what_it_asks_for_is_found(container: dict[str, Any], said: str) -> None:
    report = compared(declared(), **container)

    finding = found(report)["app-option-not-in-force shop"]
    assert finding.severity is Severity.HIGH
    assert finding.evidence == (
        f"Coolify's app shop ({UUID}) has --runtime=runsc; its container has {said}"
    )
    assert not report.compliant


@table(
    "apps, expected",
    as_it_asks=(declared(), {}),
    the_next_deployment_would_lose_it=(
        declared(None),
        {"app-option-missing shop": (HIGH, f"Coolify's app shop ({UUID}) has no --runtime")},
    ),
    a_label_that_coolify_does_not_know=(
        DeclaredApps(),
        {"app-unknown shop": (LOW, "label coolify.applicationId=7")},
    ),
)
def test_a_sandbox_has_against_it_what_coolify_does_not_ask_for(
    apps: DeclaredApps, expected: dict[str, tuple[Severity, str]]
) -> None:
    report = compared(apps)

    given = {key: (item.severity, item.evidence) for key, item in found(report).items()}
    assert given == expected
    assert report.compliant is ("app-option-missing shop" not in expected)


@table(
    "apps, labels",
    coolify_is_not_asked=(None, LABELS),
    its_compose_file_says_it=(declared(by_options=False), LABELS),
    its_compose_file_asks=(declared(None, by_options=False), LABELS),
    a_preview=(declared(None), {**LABELS, "coolify.pullRequestId": "12"}),
    without_a_number=(declared(None), COOLIFY),
)
def test_what_options_miss_is_no_finding(apps: DeclaredApps | None, labels: dict[str, str]) -> None:
    sandboxed, bare = (compared(apps, labels=labels, **runs) for runs in ({}, BARE))

    assert (list(ids(sandboxed)), list(ids(bare))) == ([], ["container-unsandboxed"])


def test_a_coolify_that_does_not_answer_fails_the_audit_and_hides_nothing() -> None:
    apps = DeclaredApps(error="GET /applications: the token is refused")

    report = audited(*app(labels=LABELS, **BARE).lines(), apps=apps)

    assert found(report)["apps-not-compared Coolify's API"].evidence == apps.error
    assert "container-unsandboxed" in ids(report)
    assert "app-unknown" not in ids(report)


@table(
    "lines, rules",
    as_declared=([*persistent(), *patched()], []),
    coolify_knows_it=([container(), *php("native", probe=HONOURED)], []),
    the_patch_is_lost=([*persistent(), *php()], ["coolify-drops-option"]),
    only_patched=([container(), *patched()], ["coolify-not-kept"]),
    another_source=([*persistent(), *DAMAGED], ["coolify-drops-option"]),
    no_coolify=([], ["coolify-drops-option", "coolify-not-kept"]),
)
def test_a_control_host_that_would_lose_it_is_found(lines: list[str], rules: list[str]) -> None:
    report = audited(control=host(*lines))
    undeclared = audited(control=host(*lines), settings={"gvisor_coolify": False})

    assert (sorted(ids(report)), list(ids(undeclared))) == (rules, [])
    assert report.compliant is not bool(rules)


def running(name: str, image: str) -> list[str]:
    """The lines for a container of this image that nobody has a policy for."""
    return Running(name, given={"Image": image}).lines()


@table(
    "lines",
    an_empty_cache=["build_cache 0 "],
    an_old_docker_that_never_built=[],
    a_backup=running("backup-of-x8s0", HELPER),
    an_app=running("shop", "shop:2"),
)
def test_a_node_on_which_no_build_was_seen_has_nothing_against_it(lines: list[str]) -> None:
    assert found(audited(*lines)) == {}


CACHED = "18 records in Docker's build cache, last used 2026-11-25T14:05:19Z"
DEPLOYING, DEPLOYS = f"a Coolify deployment is running: x8s0 ({HELPER})", running("x8s0", HELPER)
BOTH = "the node is in group build and also has runtimes for apps"
RAN = "a build step ran at 2025-11-25T14:05:22+00:00 or earlier; Docker 29.8.2"
RAIL = "buildx_buildkit_rail0"


@table(
    "lines, given, severity, evidence",
    a_cache=([CACHE], {}, MEDIUM, CACHED),
    never_used=(["build_cache 1 "], {}, MEDIUM, "1 records in Docker's build cache"),
    a_builder_of_its_own=(running(RAIL, BUILDER), {}, MEDIUM, f"{RAIL} ({BUILDER})"),
    a_cache_and_a_deployment=([CACHE, *DEPLOYS], {}, MEDIUM, f"{CACHED}; {DEPLOYING}"),
    may_not_build=(DEPLOYS, {}, INFO, DEPLOYING),
    a_control_host=([CACHE], NO_GVISOR, INFO, CACHED),
    a_build_node=([CACHE], {**NO_GVISOR, "builds": True}, INFO, CACHED),
    a_build_node_that_runs_apps=([CACHE], {"builds": True}, MEDIUM, f"{CACHED}; {BOTH}"),
    a_docker_that_does_not_tell_its_cache=(["build_ran 1764079522"], {}, LOW, RAN),
)
def test_builds_are_told_with_what_was_seen(
    lines: list[str], given: dict[str, Any], severity: Severity, evidence: str
) -> None:
    finding = found(audited(*lines, **given))["builds-unsandboxed image builds"]

    assert finding.severity is severity
    assert finding.evidence.startswith(evidence)
    assert "docker builder prune -a" in finding.remedy


def test_builds_that_must_stay_are_waived_and_a_cache_that_is_not_told_is_no_empty_one() -> None:
    reason = "until the build server is there"

    report = audited(CACHE, settings={"gvisor_waivers": {"builds-unsandboxed": reason}})
    finding = found(audited("build_error no answer within 10 s"))["builds-unknown image builds"]

    assert (found(report), report.state) == ({}, "clean")
    assert (finding.severity, finding.evidence) == (Severity.LOW, "no answer within 10 s")


CRITICAL = Severity.CRITICAL
VOLUMES = "/var/lib/docker/volumes"
LINK = "/srv/link"
SEAL = {"gvisor_seal": {"binds": ["/srv"]}}
KEY = "volume-opens-node volume shop"


def line(kind: str, options: str, device: str, *places: str, name: str = "shop") -> str:
    """A volume with these options as the script tells it."""
    known = {device: places} if places else {}
    told = {"name": name, "type": kind, "options": options, "device": device, "places": known}
    return f"volume {compact(told)}"


@table(
    "told, settings, severity",
    a_directory=(("none", "bind", "/srv/a"), {}, MEDIUM),
    one_in_use=(("none", "bind", "/srv/a", "/srv/a", f"{VOLUMES}/shop/_data"), {}, MEDIUM),
    another_volume=(("none", "bind", LINK, f"{VOLUMES}/other/_data"), {}, HIGH),
    an_allowed_one=(("none", "bind", "/srv/a"), SEAL, None),
    out_of_an_allowed_one=(("none", "bind", "/srv/../home"), SEAL, MEDIUM),
    a_link_out_of_an_allowed_one=(("none", "ro,rbind", LINK, "/etc/cron.d"), SEAL, HIGH),
    a_directory_of_root=(("none", "bind", "/etc/cron.d"), {}, HIGH),
    without_a_slash=(("none", "bind", "etc/cron.d"), {}, HIGH),
    two_slashes=(("none", "bind", "//etc/cron.d"), {}, HIGH),
    ours=(("none", "bind", "/opt/gvisor/runtimes"), {}, CRITICAL),
    a_link_to_ours=(("none", "bind", LINK, "/etc/docker"), {}, CRITICAL),
    a_bind_of_another_type=(("tmpfs", "size=1,bind", "/etc"), {}, CRITICAL),
    a_disk=(("ext4", "", "/dev/sda1"), SEAL, HIGH),
    all_devices=(("devtmpfs", "", "none"), SEAL, HIGH),
    layers=(("overlay", "lowerdir=/etc,upperdir=/u,workdir=/w", "none"), {}, HIGH),
    memory=(("tmpfs", "size=1", "tmpfs"), {}, None),
    a_server=(("nfs", "addr=192.0.2.1,username=bind-user", ":/etc"), {}, None),
)
def test_a_volume_counts_by_what_it_is_on_the_node(
    told: Any, settings: Any, severity: Severity | None
) -> None:
    finding = found(audited(line(*told), settings=settings)).get(KEY)

    assert (finding.severity if finding else None) is severity


def test_a_volume_is_told_with_its_options_of_thousands_the_worst_and_that_docker_lists_none() -> (
    None
):
    odd = line("none", "bind\n", LINK, "/etc/docker", name="a\nb")
    many = [line("none", "bind", "/srv/a", name=f"v{number}") for number in range(2000)]

    finding = found(audited(odd))["volume-opens-node volume a?b"]
    accepted = audited(odd, settings={"gvisor_waivers": {"volume-opens-node": "it is our own"}})
    report = found(audited(*many, line("none", "bind", "/opt/gvisor")))
    unknown = found(audited("volumes_error no answer within 10 s"))["volume-opens-node volumes"]

    assert finding.evidence == f"device: {LINK} (is /etc/docker); type=none, o=bind?"
    assert waived(accepted)["volume-opens-node volume a?b"] == "it is our own"
    told = [item for key, item in report.items() if key.startswith("volume-opens-node")]
    assert report[KEY].severity is CRITICAL
    assert report["volume-opens-node volumes"].evidence == "1951 more"
    assert len(told) == 51
    assert (unknown.severity, unknown.evidence) == (MEDIUM, "not known: no answer within 10 s")
