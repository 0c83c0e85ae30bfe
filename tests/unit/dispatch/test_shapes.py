"""What the judge says of each shape as its platform starts it, and of whatever imitates it."""

import copy
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import program
from pyinfra_gvisor.dispatch.policy import Dispatch, Infrastructure
from pyinfra_gvisor.dispatch.proposals import proposals
from pyinfra_gvisor.dispatch.shapes import SHAPES, Shape, repository
from pyinfra_gvisor.judge.docker_files import read_container
from pyinfra_gvisor.judge.infrastructure import decide
from tests.table import table
from tests.unit.dispatch.infrastructure import KNOWN, PROJECT, as_files, as_it_is, pulled

SHAPE = [pytest.param(shape, id=shape.name) for shape in KNOWN]

Change = Callable[[dict[str, Any]], object]


def said(directory: Path, document: Mapping[str, Any], entries: tuple[Infrastructure, ...]) -> str:
    """What the judge says of a container, from Docker's files."""
    files = directory / "containers" / document["Id"]
    files.mkdir(parents=True)
    for name, content in zip(("config.v2", "hostconfig"), as_files(document), strict=True):
        (files / f"{name}.json").write_text(json.dumps(content))
    container = read_container(str(directory), document["Id"])
    found = decide(container, Dispatch("runsc", entries).rules())
    return f"{found.where}: {found.why}"


def accepted(shape: Shape) -> tuple[tuple[Infrastructure, ...], dict[str, Any]]:
    """The entry that is proposed for a shape as it is, and its container."""
    image, container = as_it_is(shape)
    found = proposals(pulled(image, container))
    return tuple(item.entry for item in found if item.entry), container


@pytest.mark.parametrize("shape", SHAPE)
def test_a_platforms_own_container_is_infrastructure(shape: Shape, tmp_path: Path) -> None:
    entries, container = accepted(shape)

    assert said(tmp_path, container, entries).startswith(f"runc: {shape.name}: ")


@pytest.mark.parametrize("shape", SHAPE)
def test_an_unknown_image_of_a_known_name_is_refused(shape: Shape, tmp_path: Path) -> None:
    _, container = accepted(shape)

    assert said(tmp_path, container, ()).startswith(f"refused: image {container['Image']} of ")


def config(**values: Any) -> Change:
    """Change what the container runs."""
    return lambda found: found["Config"].update(values)


def host(**values: Any) -> Change:
    """Change how the container runs."""
    return lambda found: found["HostConfig"].update(values)


def command(found: dict[str, Any]) -> None:
    """Have another command, as Docker writes it in both places."""
    found["Config"]["Cmd"] = ["sh", "-c", "id"]
    found["Args"] = [*found["Config"]["Entrypoint"][1:], "sh", "-c", "id"]


def variable(text: str) -> Change:
    """Set one more variable."""
    return lambda found: found["Config"]["Env"].append(text)


def mount(source: str, destination: str) -> Change:
    """Mount one more directory of the node."""
    point = {"Type": "bind", "Source": source, "Destination": destination, "RW": True}
    return lambda found: found["Mounts"].append(point)


def other_source(found: dict[str, Any]) -> None:
    """Mount something else at the first place."""
    found["Mounts"][0]["Source"] = "/data/coolify/applications/mine"


@table(
    "imitate",
    command=command,
    entrypoint=config(Entrypoint=["/bin/sh"]),
    user=config(User="1000"),
    working_directory=config(WorkingDir="/tmp"),
    health_check=config(Healthcheck={"Test": ["CMD-SHELL", "id"]}),
    bash_env=variable("BASH_ENV=/proc/self/fd/0"),
    env=variable("ENV=/x"),
    ld_preload=variable("LD_PRELOAD=/x.so"),
    perl5opt=variable("PERL5OPT=-M-x"),
    git=variable("GIT_SSH_COMMAND=id"),
    docker_host=variable("DOCKER_HOST=tcp://x"),
    variable_of_an_app=variable("NPM_TOKEN=of-an-app"),
    one_more_mount=mount("/", "/node"),
    over_a_program=mount("/data/coolify/applications/x/sh", "/bin/sh"),
    other_mount=other_source,
    no_mounts=lambda found: found.update(Mounts=[]),
    privileged=host(Privileged=True),
    capability=host(CapAdd=["SYS_ADMIN"]),
    init=host(Init=True),
    security_options=host(SecurityOpt=["seccomp=unconfined"]),
    network_of_another=host(NetworkMode="container:x"),
    processes_of_another=host(PidMode="container:x"),
    host_names=host(ExtraHosts=["registry:192.0.2.1"]),
)
@pytest.mark.parametrize("shape", SHAPE)
def test_the_accepted_image_is_no_infrastructure_in_another_way(
    shape: Shape, imitate: Change, tmp_path: Path
) -> None:
    entries, container = accepted(shape)
    other = copy.deepcopy(container)

    imitate(other)

    assert said(tmp_path, other, entries).startswith("sandbox: ")


PLAIN = [pytest.param(shape, id=shape.name) for shape in KNOWN if "without_labels" in shape.fixed]


@pytest.mark.parametrize("shape", PLAIN)
def test_what_compose_starts_is_not_what_a_platform_starts_by_itself(
    shape: Shape, tmp_path: Path
) -> None:
    entries, container = accepted(shape)
    container["Config"]["Labels"][PROJECT] = "of-a-tenant"

    assert said(tmp_path, container, entries).startswith("sandbox: ")


@pytest.mark.parametrize("name", ["coolify-proxy", "coolify-proxy-caddy"])
def test_a_project_elsewhere_is_not_the_proxys(name: str, tmp_path: Path) -> None:
    entries, container = accepted(SHAPES[name])
    label = "com.docker.compose.project.working_dir"
    container["Config"]["Labels"][label] = "/artifacts/of-a-tenant"

    assert said(tmp_path, container, entries).startswith("sandbox: ")


@pytest.mark.parametrize("optional", SHAPES["coolify-helper"].fixed["optional_mounts"])
def test_a_helper_may_have_what_coolify_mounts_into_some(optional: str, tmp_path: Path) -> None:
    entries, container = accepted(SHAPES["coolify-helper"])
    source, destination, mode = optional.split(":")
    point = {"Type": "bind", "Source": source, "Destination": destination, "RW": mode == "rw"}
    container["Mounts"].append(point)

    assert said(tmp_path, container, entries).startswith("runc: ")


def test_an_app_whose_build_variables_are_named_may_have_them(tmp_path: Path) -> None:
    (entry,), container = accepted(SHAPES["coolify-helper"])[0][:1], accepted(KNOWN[0])[1]
    wider = Infrastructure.model_validate({**entry.written(), "env_free": ["NPM_TOKEN"]})
    container["Config"]["Env"] += ["NPM_TOKEN=x", "COOLIFY_URL=https://shop.example.com"]

    assert said(tmp_path, container, (wider,)).startswith("runc: ")


@table(
    "written, meant",
    official=("traefik:v3.6", "docker.io/library/traefik"),
    of_docker_hub=("coollabsio/sentinel", "docker.io/coollabsio/sentinel"),
    port=("localhost:5000/a/b:1", "localhost:5000/a/b"),
    digest=("ghcr.io/a/b@sha256:0", "ghcr.io/a/b"),
    index=("index.docker.io/a/b:1", "docker.io/a/b"),
)
def test_python_and_perl_read_an_images_name_alike(written: str, meant: str) -> None:
    (perl,) = re.findall(
        r"^sub repository .*?^}$", program("dispatch/pulled.pl"), re.DOTALL | re.MULTILINE
    )
    ran = subprocess.run(
        ["perl", "-e", f"{perl}print repository($ARGV[0])", written],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == repository(written) == meant


def test_every_shape_has_its_source() -> None:
    assert {
        shape.name for shape in SHAPES.values() if not shape.source.startswith("https")
    } == set()
