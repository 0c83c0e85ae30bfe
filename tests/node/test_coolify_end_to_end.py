"""From what a user types into Coolify to a container that is seen in gVisor, and back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.coolify.api_server import TOKEN, ApiServer
from tests.coolify.host import App, ControlHost
from tests.node.controlling import as_shipped, have
from tests.node.coolify_apps import app, ask, have_platform, remove_platform, up
from tests.node.coolify_nodes import Coolify
from tests.node.running import CURRENT, Fleet, Outcome, pyinfra

GVISOR = "#1 SMP Sun Jan 10 15:06:54 PST 2016"  # "uname -v" in every release of runsc
WAIVERS = {"container-host-path": "apps of these tests run the node's own programs"}


@pytest.fixture(scope="module")
def apps(coolify: Coolify, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coolify]:
    """A control host that honours the option, and a run node with gVisor and a reverse proxy."""
    fleet = Fleet(coolify.nodes, tmp_path_factory.mktemp("apps"))
    as_shipped(coolify.control)
    have(fleet)
    fleet.deploy("run", data=CURRENT)
    have_platform(coolify.run)
    yield coolify
    remove_platform(coolify.run)


@pytest.fixture
def fleet(apps: Coolify, tmp_path: Path) -> Fleet:
    """Runs pyinfra on both."""
    return Fleet(apps.nodes, tmp_path)


@pytest.fixture
def api(apps: Coolify, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """The API of that Coolify, which knows the run node."""
    monkeypatch.setenv("COOLIFY_TOKEN", TOKEN)
    with ApiServer() as server:
        server.state.add_server("run", ip="127.0.0.1")
        yield server


def deployed(coolify: Coolify, host: ControlHost, item: App, options: str | None) -> str:
    """Deploy an app with these options; what its process is called."""
    up(coolify.run, item, host.compose_file(item, options))
    pid = coolify.run.exec("docker", "inspect", "-f", "{{.State.Pid}}", item.container_name).stdout
    return coolify.run.exec("cat", f"/proc/{pid.strip()}/cmdline").stdout.split("\0")[0]


def test_what_a_user_types_ends_in_a_sandbox_that_is_reached_by_name(apps: Coolify) -> None:
    shop, wiki = app("shop0uuid", id=1, name="shop"), app("wiki0uuid", id=2, name="wiki")

    sandboxed = deployed(apps, apps.control, shop, "--cap-drop=ALL --runtime=runsc")
    bare = deployed(apps, apps.control, wiki, "--cap-drop=ALL")
    through_proxy = ask(apps.run, shop.container_name, peer=wiki.container_name)
    the_other = ask(apps.run, wiki.container_name, peer=shop.container_name)

    assert sandboxed == "runsc-sandbox"
    assert bare != "runsc-sandbox"
    assert through_proxy["kernel"] == GVISOR == the_other["peer"]["kernel"]
    assert the_other["kernel"] != GVISOR
    assert through_proxy["peer"]["kernel"] == the_other["kernel"]


def test_behind_an_upgrade_the_next_deployment_is_still_sandboxed(apps: Coolify) -> None:
    blog = app("blog0uuid", id=3, name="blog")

    upgraded = apps.control.upgrade("4.0.0-beta.225")
    seen = deployed(apps, apps.control, blog, "--runtime runsc")

    assert upgraded.code == 0, upgraded.stderr
    assert seen == "runsc-sandbox"
    assert ask(apps.run, blog.container_name)["kernel"] == GVISOR


def set_apps(fleet: Fleet, api: ApiServer, *flags: str) -> Outcome:
    """The deploy of the control host with the API."""
    data = {"gvisor_runtimes": {}, "gvisor_coolify_url": api.url, "gvisor_coolify_servers": ["*"]}
    return fleet.run(
        "control",
        deploy="deploys/coolify.py",
        data=data,
        groups={"coolify": ["control"]},
        flags=flags or ("-y",),
    )


def audited(fleet: Fleet, api: ApiServer) -> dict[str, str]:
    """The evidence of what an audit of the run node finds in apps, by rule."""
    reports = fleet.directory / "reports"
    data = {
        **CURRENT,
        "gvisor_waivers": WAIVERS,
        "gvisor_coolify_url": api.url,
        "gvisor_report_dir": str(reports),
    }
    outcome = fleet.run("run", deploy="deploys/audit.py", data=data)
    path = reports / "hosts" / "run.json"
    assert path.exists(), outcome.text
    found: list[dict[str, Any]] = json.loads(path.read_text())["findings"]
    return {item["id"]: item["evidence"] for item in found if item["id"].startswith("app")}


def number(api: ApiServer, uuid: str) -> int:
    """What Coolify labels an app's containers with."""
    (server,) = api.state.servers
    found: int = next(x["id"] for x in api.state.resources_of(server) if x["uuid"] == uuid)
    return found


def test_apps_that_were_set_are_what_the_audit_finds_and_both_ends_meet(
    apps: Coolify, fleet: Fleet, api: ApiServer
) -> None:
    remove_platform(apps.run)
    have_platform(apps.run)
    (server,) = api.state.servers
    uuid = api.state.add_app("shop", server, "--cap-drop=ALL")
    shop = app(uuid, id=number(api, uuid), name="shop")

    deployed(apps, apps.control, shop, api.state.options(uuid))  # before anybody set it
    dry = set_apps(fleet, api, "--dry")
    untouched = api.state.options(uuid)
    outcome = set_apps(fleet, api)
    old_container = audited(fleet, api)
    seen = deployed(apps, apps.control, shop, api.state.options(uuid))
    both = audited(fleet, api)
    api.state.applications[uuid]["custom_docker_run_options"] = "--cap-drop=ALL"
    no_option = audited(fleet, api)

    assert '"--cap-drop=ALL" -> "--cap-drop=ALL --runtime=runsc"' in dry.stderr
    assert untouched == "--cap-drop=ALL"
    assert outcome.code == 0, outcome.text
    assert "has --runtime=runsc; its container has runc" in old_container["app-option-not-in-force"]
    assert seen == "runsc-sandbox"
    assert both == {}
    assert "has no --runtime" in no_option["app-option-missing"]
    assert TOKEN not in dry.text + outcome.text


def test_coolifys_own_list_of_servers_is_an_inventory(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.state.add_server("builder", ip="192.0.2.8", is_build_server=True)
    api.state.add_server("localhost", ip="host.docker.internal")
    monkeypatch.setenv("COOLIFY_URL", api.url)
    monkeypatch.setenv("COOLIFY_SSH_HOST", "factory.example.com")

    outcome = pyinfra("inventories/coolify.py", "debug-inventory")

    assert outcome.code == 0, outcome.text
    for group, name in (("run", "run"), ("build", "builder"), ("coolify", "localhost")):
        assert f'"{group}"' in outcome.text or group in outcome.text
        assert name in outcome.text
    assert TOKEN not in outcome.text
