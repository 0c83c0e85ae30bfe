"""The keys of the default runtime, its policy and the seal: what they take, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.dispatch.shapes import SHAPES
from pyinfra_gvisor.planning.preflight import accepted_risks
from pyinfra_gvisor.runtimes.wrappers import wrappers
from tests.unit.settings.loaded_settings import good, problems_of

ON = {"gvisor_default": "sandbox"}
IMAGE = f"sha256:{'a' * 64}"
REASON = "the platform's own helper"
ENTRY = {
    "image": IMAGE,
    "reason": REASON,
    "labels": {"com.docker.compose.project.working_dir": "/srv/edge"},
}
WHY = "the team that builds images needs it"


@pytest.mark.parametrize(
    ("data", "key", "message"),
    [
        pytest.param(
            {"gvisor_default": "on"},
            "gvisor_default",
            "input should be 'off', 'sandbox' or 'sandbox-all', got on",
            id="another-word",
        ),
        pytest.param(
            {"gvisor_defualt": "sandbox"},
            "gvisor_defualt",
            "unknown key, got sandbox; use gvisor_default",
            id="mistyped-key",
        ),
        pytest.param(
            {"gvisor_runtimes": {}},
            "gvisor_default",
            'needs a runtime in gvisor_runtimes; declare one, or set gvisor_default = "off"',
            id="no-runtime",
        ),
        pytest.param(
            {"gvisor_default_runtime": "runcs"},
            "gvisor_default_runtime",
            "not a runtime in gvisor_runtimes, got runcs; use one of runsc, or declare this "
            "runtime",
            id="unknown-runtime",
        ),
        pytest.param(
            {"gvisor_daemon_json": {"default-runtime": "nvidia"}},
            "gvisor_daemon_json",
            "the key default-runtime is set by gvisor_default; remove this key",
            id="two-default-runtimes",
        ),
        pytest.param(
            {"gvisor_daemon_json": {"default-runtime": None}},
            "gvisor_daemon_json",
            "the key default-runtime is set by gvisor_default; remove this key",
            id="default-runtime-not-managed",
        ),
        pytest.param(
            {"gvisor_daemon_json_if_absent": {"default-runtime": "crun"}},
            "gvisor_daemon_json_if_absent",
            "the key default-runtime is set by gvisor_default; remove this key",
            id="another-one-if-absent",
        ),
        pytest.param(
            {"gvisor_exempt": [{"name": "proxy", "reason": REASON}]},
            "gvisor_exempt",
            "exempts by labels and names, which tenants choose; remove this key; with "
            "gvisor_default use gvisor_infrastructure",
            id="exempt-by-name",
        ),
        pytest.param(
            {"gvisor_runtimes": {"gvisordefault": {}}},
            "gvisor_runtimes",
            "the name gvisordefault is reserved for gvisor_default",
            id="reserved-name",
        ),
    ],
)
def test_what_the_default_runtime_cannot_be_is_told_by_the_key_that_is_wrong(
    data: dict[str, Any], key: str, message: str
) -> None:
    problems = problems_of(**{**ON, **data})

    assert list(problems) == [key]
    assert problems[key].startswith(message)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param(
            {"image": "ghcr.io/coollabsio/coolify-helper:1.0.14"},
            "['0']['image'] not an image id, got ghcr.io/coollabsio/coolify-helper:1.0.14; write "
            "the id that docker image inspect --format {{.Id}} shows on the node; a name, a tag or "
            "a repository digest is not enough",
            id="tag",
        ),
        pytest.param({"image": f"x@{IMAGE}"}, "['0']['image'] not an image id", id="digest"),
        pytest.param({"image": "a" * 64}, "['0']['image'] not an image id", id="bare-sum"),
        pytest.param({"image": IMAGE[:19]}, "['0']['image'] not an image id", id="short-id"),
        pytest.param({"image": IMAGE.upper()}, "['0']['image'] not an image id", id="capitals"),
        pytest.param({"image": f"{IMAGE}\n"}, "['0']['image'] not an image id", id="newline"),
        pytest.param(
            {"reason": " "},
            "['0']['reason'] string should have at least 10 characters, got",
            id="empty-reason",
        ),
        pytest.param(
            {"shape": "coolify-helpr"}, "['0']['shape'] input should be 'coolify-", id="shape"
        ),
        pytest.param({"shape": ["a"]}, "['0']['shape'] input should be 'coolify-", id="shapes"),
        pytest.param(
            {"shape": "coolify-helper", "mounts": []},
            "['0'] the shape coolify-helper says mounts; remove mounts, or remove the shape",
            id="what-the-shape-says",
        ),
        pytest.param(
            {"mounts": ["data:/data:ro"]},
            "['0']['mounts']['0'] not a mount, got data:/data:ro; write "
            "<source>:<destination>:ro, or :rw, with absolute paths; for a volume of Docker "
            "the source is volume=<name>, or volume if it has no name",
            id="relative-mount",
        ),
        pytest.param({"mounts": ["/a:/b"]}, "['0']['mounts']['0'] not a mount", id="no-mode"),
        pytest.param(
            {"env": ["HOME"]},
            "['0']['env']['0'] not a variable, got HOME; write <name>=<value>",
            id="variable-without-value",
        ),
        pytest.param(
            {"env_free": ["A=b"]},
            "['0']['env_free']['0'] not the name of a variable, got A=b; write only the name",
            id="free-variable-with-value",
        ),
        pytest.param(
            {"name": "a(b"},
            "['0']['name'] not a regular expression: missing ), unterminated subpattern",
            id="broken-expression",
        ),
        pytest.param(
            {"name": "(?{die})"}, "['0']['name'] not a plain regular expression", id="code"
        ),
        pytest.param(
            {"labels": {"managed": "yes"}, "without_labels": ["com.docker.swarm."]},
            "['0'] does not say of which compose project the container may be, so somebody's "
            "compose file could add post_start or configs, which run in it, got labels managed, "
            "without_labels com.docker.swarm.; add "
            '"without_labels": ["com.docker.compose."], or, if compose starts it, add its label '
            "com.docker.compose.project.working_dir to labels",
            id="of-whose-compose-project",
        ),
        pytest.param({"labels": {}}, "['0'] does not say of which compose", id="no-label-at-all"),
        pytest.param(
            {"labels": {"com.docker.compose.project": "edge"}},
            "['0'] does not say of which compose",
            id="a-name-that-every-compose-file-can-have",
        ),
        pytest.param(
            {"mounts": ["volume=:/data:rw"]},
            "['0']['mounts']['0'] not a mount",
            id="no-volumes-name",
        ),
        pytest.param(
            {"comand": ["x"]}, "['0']['comand'] unknown key, got ['x']; use command", id="key"
        ),
    ],
)
def test_what_an_entry_cannot_have_is_told(entry: dict[str, Any], message: str) -> None:
    problems = problems_of(**ON, gvisor_infrastructure=[{**ENTRY, **entry}])

    assert list(problems) == ["gvisor_infrastructure"]
    assert problems["gvisor_infrastructure"].startswith(message)


@pytest.mark.parametrize(
    ("seal", "message"),
    [
        pytest.param({"bind": []}, "['bind'] unknown key, got []; use binds", id="mistyped-key"),
        pytest.param(
            {"privileged": "strip"},
            "['privileged'] input should be 'refuse' or 'allow', got strip",
            id="not-for-this-kind",
        ),
        pytest.param(
            {"binds": ["srv"]},
            "['binds']['0'] not a plain absolute path, got srv; write such a path, without . and "
            ".. and without a slash at its end",
            id="relative",
        ),
        pytest.param({"binds": ["/srv/../etc"]}, "['binds']['0'] not a plain", id="parent"),
        pytest.param({"binds": ["/srv/"]}, "['binds']['0'] not a plain", id="slash-at-the-end"),
        pytest.param({"binds": ["//srv"]}, "['binds']['0'] not a plain", id="two-slashes"),
        pytest.param(
            {"binds": ["/etc"]},
            "a reason is required for: containers may mount /etc (binds); refuse this, or add "
            '"reason": "<10 characters or more>"',
            id="the-nodes-settings",
        ),
        pytest.param(
            {"binds": ["/"]},
            "a reason is required for: containers may mount / (binds)",
            id="everything",
        ),
        pytest.param(
            {"devices": "allow", "privileged": "allow"},
            "a reason is required for: containers may have devices of the node (devices); "
            "containers may be privileged (privileged)",
            id="allowed",
        ),
        pytest.param(
            {"annotations": "allow", "reason": "short"},
            "['reason'] string should have at least 10 characters",
            id="short-reason",
        ),
    ],
)
@pytest.mark.parametrize(
    ("key", "inside"),
    [
        pytest.param("gvisor_seal", "", id="of-all"),
        pytest.param("gvisor_runtimes", "['runsc']['seal']", id="of-one-runtime"),
    ],
)
def test_what_a_seal_cannot_be_is_told(
    key: str, inside: str, seal: dict[str, Any], message: str
) -> None:
    problems = problems_of(**{key: {"runsc": {"seal": seal}} if inside else seal})

    assert list(problems) == [key]
    assert problems[key].startswith((f"{inside}{message}", f"{inside} {message}"))


@pytest.mark.parametrize(
    ("data", "seals"),
    [
        pytest.param({}, {"runsc": None}, id="nothing-declared"),
        pytest.param(ON, {"runsc": Seal()}, id="default-runtime"),
        pytest.param({"gvisor_seal": {}}, {"runsc": Seal()}, id="seal"),
        pytest.param(
            {**ON, "gvisor_seal": {"binds": ["/srv"]}, "gvisor_runtimes": {"a": {}, "b": {}}},
            {"a": Seal(binds=("/srv",)), "b": Seal(binds=("/srv",))},
            id="one-for-all",
        ),
        pytest.param(
            {
                "gvisor_seal": {"binds": ["/srv"]},
                "gvisor_runtimes": {"a": {"seal": {"sysctls": "strip"}}, "b": {}},
            },
            {"a": Seal(sysctls="strip"), "b": Seal(binds=("/srv",))},
            id="one-of-its-own",
        ),
    ],
)
def test_every_runtime_has_the_seal_that_is_declared_for_it(
    data: dict[str, Any], seals: dict[str, Seal | None]
) -> None:
    settings = good(**data)

    assert {name: item.seal for name, item in settings.runtimes.items()} == seals


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


@pytest.mark.parametrize(
    ("data", "runtime"),
    [
        pytest.param({}, "runsc", id="usual"),
        pytest.param({"gvisor_runtimes": {"net": {}, "runsc": {}}}, "runsc", id="runsc-second"),
        pytest.param({"gvisor_runtimes": {"net": {}, "other": {}}}, "net", id="first"),
        pytest.param(
            {"gvisor_runtimes": {"runsc": {}, "net": {}}, "gvisor_default_runtime": "net"},
            "net",
            id="declared",
        ),
    ],
)
def test_a_container_that_asks_for_no_runtime_gets_the_declared_one(
    data: dict[str, Any], runtime: str
) -> None:
    dispatch = good(**ON, **data).dispatch

    assert dispatch is not None
    assert dispatch.runtime == runtime


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(
            {"labels": {"com.docker.compose.project.working_dir": "/srv/edge"}}, id="directory"
        ),
        pytest.param({"without_labels": ["com.docker.compose."]}, id="no-project"),
        pytest.param({"without_labels": ["x.", "com.docker."]}, id="no-label-of-dockers"),
        pytest.param({"without_labels": [""]}, id="no-label"),
    ],
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
    labels = {"labels": ENTRY["labels"]} if name == "compose" else {}
    entry = {"image": IMAGE, "reason": REASON, "shape": name, **labels}

    settings = good(**ON, gvisor_infrastructure=[entry])

    assert settings.infrastructure[0].title == name
