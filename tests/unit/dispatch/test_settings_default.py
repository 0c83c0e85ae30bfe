"""The keys of the default runtime, its policy and the seal: what they take, and what is said."""

from typing import Any

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.dispatch.shapes import SHAPES
from pyinfra_gvisor.planning.preflight import accepted_risks
from pyinfra_gvisor.runtimes.wrappers import wrappers
from tests.arguments import Data
from tests.table import table
from tests.unit.settings.loaded_settings import good, problems_of

KEY, DAEMON_JSON = "gvisor_default", "gvisor_daemon_json"
IF_ABSENT = f"{DAEMON_JSON}_if_absent"
SET_BY = "the key default-runtime is set by gvisor_default; remove this key"
ON = {KEY: "sandbox"}
IMAGE = f"sha256:{'a' * 64}"
REASON = "the platform's own helper"
ENTRY = {
    "image": IMAGE,
    "reason": REASON,
    "labels": {"com.docker.compose.project.working_dir": "/srv/edge"},
}
WHY = "the team that builds images needs it"


@table(
    "data, key, message",
    another_word=({KEY: "on"}, KEY, "must be 'off', 'sandbox' or 'sandbox-all', got on"),
    mistyped_key=(
        {"gvisor_defualt": "sandbox"},
        "gvisor_defualt",
        "unknown key, got sandbox; use gvisor_default",
    ),
    no_runtime=(
        {"gvisor_runtimes": {}},
        "gvisor_default",
        'needs a runtime in gvisor_runtimes; declare one, or set gvisor_default = "off"',
    ),
    unknown_runtime=(
        {"gvisor_default_runtime": "runcs"},
        "gvisor_default_runtime",
        "not a runtime in gvisor_runtimes, got runcs; use one of runsc, or declare this runtime",
    ),
    two_default_runtimes=({DAEMON_JSON: {"default-runtime": "nvidia"}}, DAEMON_JSON, SET_BY),
    default_runtime_not_managed=({DAEMON_JSON: {"default-runtime": None}}, DAEMON_JSON, SET_BY),
    another_one_if_absent=({IF_ABSENT: {"default-runtime": "crun"}}, IF_ABSENT, SET_BY),
    exempt_by_name=(
        {"gvisor_exempt": [{"name": "proxy", "reason": REASON}]},
        "gvisor_exempt",
        (
            "exempts by labels and names, which tenants choose; remove this key, then "
            "run pyinfra-gvisor accept NAME for each"
        ),
    ),
    reserved_name=(
        {"gvisor_runtimes": {"gvisordefault": {}}},
        "gvisor_runtimes",
        "the name gvisordefault is reserved for gvisor_default",
    ),
)
def test_what_the_default_runtime_cannot_be_is_told_by_the_key_that_is_wrong(
    data: dict[str, Any], key: str, message: str
) -> None:
    problems = problems_of(**{**ON, **data})

    assert list(problems) == [key]
    assert problems[key].startswith(message)


@table(
    "entry, message",
    tag=(
        {"image": "ghcr.io/coollabsio/coolify-helper:1.0.14"},
        (
            "['image'] not an image id, got ghcr.io/coollabsio/coolify-helper:1.0.14; write "
            "the id that docker image inspect --format {{.Id}} shows on the node; a name, a tag or "
            "a repository digest is not enough"
        ),
    ),
    digest=({"image": f"x@{IMAGE}"}, "['image'] not an image id"),
    bare_sum=({"image": "a" * 64}, "['image'] not an image id"),
    short_id=({"image": IMAGE[:19]}, "['image'] not an image id"),
    capitals=({"image": IMAGE.upper()}, "['image'] not an image id"),
    newline=({"image": f"{IMAGE}\n"}, "['image'] not an image id"),
    empty_reason=({"reason": " "}, "['reason'] string should have at least 10 characters, got"),
    shape=({"shape": "coolify-helpr"}, "['shape'] must be 'coolify-"),
    shapes=({"shape": ["a"]}, "['shape'] must be 'coolify-"),
    what_the_shape_says=(
        {"shape": "coolify-helper", "mounts": []},
        " the kind coolify-helper already sets mounts; remove mounts, or remove the key shape",
    ),
    relative_mount=(
        {"mounts": ["data:/data:ro"]},
        (
            "['mounts']['0'] not a mount, got data:/data:ro; write "
            "<source>:<destination>:ro, or :rw, with absolute paths. For a volume of Docker "
            "the source is volume=<name>, or volume without a name. For files in memory it is "
        ),
    ),
    no_mode=({"mounts": ["/a:/b"]}, "['mounts']['0'] not a mount"),
    variable_without_value=(
        {"env": ["HOME"]},
        "['env']['0'] not a variable, got HOME; write <name>=<value>",
    ),
    free_variable_with_value=(
        {"env_free": ["A=b"]},
        "['env_free']['0'] not the name of a variable, got A=b; write only the name",
    ),
    broken_expression=(
        {"name": "a(b"},
        "['name'] not a regular expression: missing ), unterminated subpattern",
    ),
    code=({"name": "(?{die})"}, "['name'] not a plain regular expression"),
    of_whose_compose_project=(
        {"labels": {"managed": "yes"}, "without_labels": ["com.docker.swarm."]},
        (
            " the entry allows every compose project, so any compose file could run commands "
            "in the container, with post_start or configs, got labels managed, "
            "without_labels com.docker.swarm.; add "
            '"without_labels": ["com.docker.compose."], or, if compose starts it, add its label '
            "com.docker.compose.project.working_dir to labels"
        ),
    ),
    no_label_at_all=({"labels": {}}, " the entry allows every compose project"),
    a_name_that_every_compose_file_can_have=(
        {"labels": {"com.docker.compose.project": "edge"}},
        " the entry allows every compose project",
    ),
    no_volumes_name=({"mounts": ["volume=:/data:rw"]}, "['mounts']['0'] not a mount"),
    key=({"comand": ["x"]}, "['comand'] unknown key, got ['x']; use command"),
)
def test_what_an_entry_cannot_have_is_told(entry: dict[str, Any], message: str) -> None:
    problems = problems_of(**ON, gvisor_infrastructure=[{**ENTRY, **entry}])

    assert list(problems) == ["gvisor_infrastructure"]
    assert problems["gvisor_infrastructure"].startswith(f"['0']{message}")


@table(
    "seal, message",
    mistyped_key=({"bind": []}, "['bind'] unknown key, got []; use binds"),
    not_for_this_kind=(
        {"privileged": "strip"},
        "['privileged'] must be 'refuse' or 'allow', got strip",
    ),
    relative=(
        {"binds": ["srv"]},
        (
            "['binds']['0'] not a plain absolute path, got srv; write such a path, without . and "
            ".. and without a slash at its end"
        ),
    ),
    parent=({"binds": ["/srv/../etc"]}, "['binds']['0'] not a plain"),
    slash_at_the_end=({"binds": ["/srv/"]}, "['binds']['0'] not a plain"),
    two_slashes=({"binds": ["//srv"]}, "['binds']['0'] not a plain"),
    the_nodes_settings=(
        {"binds": ["/etc"]},
        (
            "a reason is required for: containers may mount /etc (binds); refuse this, or add "
            '"reason": "<10 characters or more>"'
        ),
    ),
    everything=({"binds": ["/"]}, "a reason is required for: containers may mount / (binds)"),
    allowed=(
        {"devices": "allow", "privileged": "allow"},
        (
            "a reason is required for: containers may have devices of the node (devices); "
            "containers may be privileged (privileged)"
        ),
    ),
    short_reason=(
        {"annotations": "allow", "reason": "short"},
        "['reason'] string should have at least 10 characters",
    ),
)
@table(
    "key, inside",
    of_all=("gvisor_seal", ""),
    of_one_runtime=("gvisor_runtimes", "['runsc']['seal']"),
)
def test_what_a_seal_cannot_be_is_told(key: str, inside: str, seal: Data, message: str) -> None:
    problems = problems_of(**{key: {"runsc": {"seal": seal}} if inside else seal})

    assert list(problems) == [key]
    assert problems[key].startswith((f"{inside}{message}", f"{inside} {message}"))


@table(
    "data, seals",
    nothing_declared=({}, {"runsc": None}),
    default_runtime=(ON, {"runsc": Seal()}),
    seal=({"gvisor_seal": {}}, {"runsc": Seal()}),
    one_for_all=(
        {**ON, "gvisor_seal": {"binds": ["/srv"]}, "gvisor_runtimes": {"a": {}, "b": {}}},
        {"a": Seal(binds=("/srv",)), "b": Seal(binds=("/srv",))},
    ),
    one_of_its_own=(
        {
            "gvisor_seal": {"binds": ["/srv"]},
            "gvisor_runtimes": {"a": {"seal": {"sysctls": "strip"}}, "b": {}},
        },
        {"a": Seal(sysctls="strip"), "b": Seal(binds=("/srv",))},
    ),
)
def test_every_runtime_has_the_seal_that_is_declared_for_it(
    data: dict[str, Any], seals: dict[str, Seal | None]
) -> None:
    assert {name: item.seal for name, item in good(**data).runtimes.items()} == seals


def test_what_a_seal_allows_is_told_with_its_reason_once_for_all_its_runtimes() -> None:
    seal = {"devices": "allow", "binds": ["/srv", "/var/lib/docker"], "reason": WHY}

    settings = good(**ON, gvisor_seal=seal, gvisor_runtimes={"a": {}, "b": {}})

    (line,) = accepted_risks(settings)
    assert line == (
        "RISK ACCEPTED: seal of a, b: containers may have devices of the node (devices); "
        f"containers may mount /var/lib/docker (binds). Reason given: {WHY}"
    )


def test_sysctls_need_no_reason_because_runsc_ignores_them() -> None:
    assert accepted_risks(good(gvisor_seal={"sysctls": "allow"})) == ()


def test_another_reason_makes_no_other_wrapper() -> None:
    one, other = (
        good(**ON, gvisor_seal={"devices": "allow", "reason": reason}) for reason in (WHY, REASON)
    )

    assert wrappers("20260928.0", one.runtimes, one.dispatch) == wrappers(
        "20260928.0", other.runtimes, other.dispatch
    )


@table(
    "data, runtime",
    usual=({}, "runsc"),
    runsc_second=({"gvisor_runtimes": {"net": {}, "runsc": {}}}, "runsc"),
    first=({"gvisor_runtimes": {"net": {}, "other": {}}}, "net"),
    declared=(
        {"gvisor_runtimes": {"runsc": {}, "net": {}}, "gvisor_default_runtime": "net"},
        "net",
    ),
)
def test_a_container_that_asks_for_no_runtime_gets_the_declared_one(
    data: dict[str, Any], runtime: str
) -> None:
    dispatch = good(**ON, **data).dispatch

    assert dispatch is not None
    assert dispatch.runtime == runtime


@table(
    "says",
    directory={"labels": {"com.docker.compose.project.working_dir": "/srv/edge"}},
    no_project={"without_labels": ["com.docker.compose."]},
    no_label_of_dockers={"without_labels": ["x.", "com.docker."]},
    no_label={"without_labels": [""]},
)
def test_an_entry_says_of_which_compose_project_its_container_may_be(says: dict[str, Any]) -> None:
    settings = good(gvisor_infrastructure=[{"image": IMAGE, "reason": REASON, **says}])

    assert len(settings.infrastructure) == 1


def test_without_a_default_runtime_a_policy_waits_and_docker_decides() -> None:
    settings = good(gvisor_infrastructure=[ENTRY], gvisor_default_runtime="none")

    assert settings.dispatch is None
    assert list(settings.proven_runtimes) == ["runsc"]
    assert "default-runtime" not in settings.wanted_daemon_json()


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in SHAPES])
def test_an_entry_may_be_of_each_known_shape(name: str) -> None:
    labels = {"labels": ENTRY["labels"]} if not SHAPES[name].fixed else {}
    entry = {"image": IMAGE, "reason": REASON, "shape": name, **labels}

    assert good(**ON, gvisor_infrastructure=[entry]).infrastructure[0].title == name
