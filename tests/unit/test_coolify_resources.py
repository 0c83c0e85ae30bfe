"""The verdict on everything that is on a server, and what people read of it."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.coolify.models import Application, Database, Resource, Server
from pyinfra_gvisor.coolify.resources import (
    BUILDS,
    PREVIEWS,
    STOPPED,
    UNREAD,
    Subject,
    Verdict,
    judge,
    quoted,
)

RUN = Server(uuid="s1", name="run-1", ip="192.0.2.10")
OTHER = Server(uuid="s2", name="spare", ip="192.0.2.11")
SWARM = Server.model_validate(
    {"uuid": "s3", "name": "swarm", "settings": {"is_swarm_manager": True}}
)


def subject(kind: str = "application", *, servers: tuple[Server, ...] = (RUN,)) -> Subject:
    """A resource on servers."""
    return Subject(Resource(id=1, uuid="u1", name="shop", type=kind), servers)


def app(options: str | None = None, **changes: Any) -> Application:
    """What the API says of an app."""
    settings = {"is_preview_deployments_enabled": False, **changes.pop("settings", {})}
    return Application.model_validate(
        {
            "uuid": "u1",
            "name": "shop",
            "build_pack": "dockerimage",
            "status": "running:healthy",
            "custom_docker_run_options": options,
            "settings": settings,
            **changes,
        }
    )


def of_app(application: Application | None, **options: Any) -> Verdict:
    """The verdict on an app."""
    return judge(options.pop("found", subject()), "runsc", application=application, **options)


def test_an_app_with_the_option_is_enforced() -> None:
    found = of_app(app("--init --runtime=runsc"))

    assert (found.state, found.kind, found.label) == ("enforced", "app", "app shop (server run-1)")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, "--runtime=runsc", id="none"),
        pytest.param("--init", "--init --runtime=runsc", id="another"),
        pytest.param("--runtime=runc", "--runtime=runsc", id="another-runtime"),
        pytest.param("--runtime=runc --runtime=runsc", "--runtime=runsc", id="two"),
    ],
)
def test_an_app_without_it_is_to_be_set(before: str | None, after: str) -> None:
    found = of_app(app(before))

    assert (found.state, found.before, found.after) == ("to_set", before, after)


@pytest.mark.parametrize(
    ("is_consistent", "name", "state"),
    [
        pytest.param(True, "shop", "by_hand", id="both"),
        pytest.param(True, "", "to_set", id="only-consistent"),
        pytest.param(True, None, "to_set", id="only-consistent-null"),
        pytest.param(True, "0", "to_set", id="a-name-that-is-none-to-php"),
        pytest.param(False, "shop", "to_set", id="only-a-name"),
    ],
)
@pytest.mark.parametrize("options", [None, "--runtime=runsc"], ids=["unset", "set"])
def test_options_reach_an_app_but_for_one_with_a_custom_name(
    is_consistent: bool, name: str | None, state: str, options: str | None
) -> None:
    settings = {"is_consistent_container_name_enabled": is_consistent, "custom_internal_name": name}

    found = of_app(app(options, settings=settings))

    assert found.state == ("enforced" if options and state == "to_set" else state)
    assert ("Custom container name" in found.text) == (state == "by_hand")


def test_a_compose_app_and_a_service_are_set_in_their_compose_files() -> None:
    compose = of_app(app("--runtime=runsc", build_pack="dockercompose"))
    service = judge(subject("service"), "runsc")

    assert compose.state == service.state == "by_hand"
    assert compose.text.startswith('write "runtime: runsc" into each service of the compose file')
    assert service.text.startswith('write "runtime: runsc" into each service of its compose file')


@pytest.mark.parametrize(
    ("options", "state", "text"),
    [
        pytest.param("--runtime=runsc", "enforced", "asks for runsc", id="set"),
        pytest.param(
            "--cap-drop=ALL",
            "by_hand",
            'write "--cap-drop=ALL --runtime=runsc" into its Custom Docker options: '
            "the API cannot set it",
            id="another-option",
        ),
        pytest.param(
            "--env=$X",
            "by_hand",
            'write "--runtime=runsc" at the end of its Custom Docker options',
            id="not-understood",
        ),
    ],
)
def test_a_database_is_set_by_hand(options: str, state: str, text: str) -> None:
    database = Database(uuid="u1", name="pg", custom_docker_run_options=options)

    found = judge(subject("standalone-postgresql"), "runsc", database=database)

    assert (found.kind, found.state, found.text) == ("database", state, text)


def test_a_database_that_is_not_shown_is_set_by_hand_too() -> None:
    found = judge(subject("standalone-redis"), "runsc")

    assert found.state == "by_hand"
    assert found.text.endswith("; the API does not show this field")


@pytest.mark.parametrize("kind", ["application", "standalone-mysql", "service"])
def test_nothing_in_a_swarm_can_have_it(kind: str) -> None:
    found = judge(subject(kind, servers=(RUN, SWARM)), "runsc", application=app())

    assert found.state == "impossible"
    assert found.text.startswith("swarm is in a swarm")


@pytest.mark.parametrize("kind", ["application", "standalone-mysql", "service", "other"])
def test_what_is_exempt_is_so_for_the_operators_reason(kind: str) -> None:
    found = judge(subject(kind, servers=(SWARM,)), "runsc", reason="moves next week")

    assert (found.state, found.text) == ("exempt", "moves next week")


def test_an_app_that_the_api_does_not_show_cannot_be_set() -> None:
    found = of_app(None)

    assert (found.state, found.name) == ("impossible", "shop")
    assert "belongs to another team" in found.text


def test_an_app_that_is_on_a_server_without_the_runtime_too_is_not_set() -> None:
    both = Subject(subject().resource, (RUN,), (OTHER,))

    unset = of_app(app("--init"), found=both)
    done = of_app(app("--runtime=runsc"), found=both)

    assert unset.state == "by_hand"
    assert "it also runs on spare" in unset.text
    assert 'write "--init --runtime=runsc" into' in unset.text
    assert done.state == "enforced"


def test_a_text_that_cannot_be_written_is_told_with_the_reason() -> None:
    found = of_app(app("--env=$HOME"))

    assert found.state == "by_hand"
    assert found.text.startswith("Coolify refuses options that contain '$', got --env=$HOME; ")


def test_such_a_text_that_has_the_runtime_is_enforced() -> None:
    assert of_app(app("--env=$HOME --runtime=runsc")).state == "enforced"


@pytest.mark.parametrize(
    ("changes", "gaps"),
    [
        pytest.param({}, (), id="none"),
        pytest.param(
            {"settings": {"is_preview_deployments_enabled": True}}, (PREVIEWS,), id="previews"
        ),
        pytest.param({"build_pack": "nixpacks"}, (BUILDS,), id="builds"),
        pytest.param({"build_pack": "dockerfile"}, (BUILDS,), id="builds-a-dockerfile"),
        pytest.param({"status": "exited:unhealthy"}, (STOPPED,), id="stopped"),
        pytest.param({"settings": None}, (UNREAD,), id="without-settings"),
        pytest.param({"build_pack": "dockercompose", "settings": None}, (BUILDS,), id="compose"),
    ],
)
def test_what_stays_outside_is_told_beside(changes: dict[str, Any], gaps: tuple[str, ...]) -> None:
    application = app(**{key: value for key, value in changes.items() if value is not None})
    if "settings" in changes and changes["settings"] is None:
        application = application.model_copy(update={"settings": None})

    assert of_app(application).gaps == gaps


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(None, "none", id="null"),
        pytest.param("", "none", id="empty"),
        pytest.param("--init", '"--init"', id="plain"),
        pytest.param('--a="b"', "'--a=\"b\"'", id="double-quotes"),
        pytest.param("--a='b' --c=\"d\"", "`--a='b' --c=\"d\"`", id="both"),
        pytest.param("--a\x1b[2J", '"--a?[2J"', id="escape"),
        pytest.param("--a\t--b", '"--a\t--b"', id="tab"),
    ],
)
def test_options_are_shown_as_they_are_to_be_written(text: str | None, shown: str) -> None:
    assert quoted(text) == shown
