"""``watch.pl`` where the default runtime is ours: only infrastructure may be outside gVisor."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.dispatch.policy import Dispatch, Infrastructure
from pyinfra_gvisor.dispatch.preview import preview
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.parts.watch.files import policy_text, service_text
from pyinfra_gvisor.parts.watch.plan import declared_watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.policy.selectors import COOLIFY, Exemption
from pyinfra_gvisor.settings import Settings, load_settings
from tests.table import table
from tests.unit.answers import compact, info
from tests.unit.dispatch.dispatch_files import (
    IMAGE,
    bind,
    infrastructure,
    listed_ids,
    write_container,
)
from tests.unit.dispatch.test_script_preview import IMAGES
from tests.unit.fake_docker import OLD_FORM, Answer, container, says
from tests.unit.watch.watch_script import REASON, RUNSC, STOP, STOPPED, Looked, Watched

BARE = {"Runtime": "runc"}
HELPER = "ghcr.io/coollabsio/coolify-helper:2"
POLICY = (Infrastructure.model_validate(infrastructure()),)
ASKED = preview(Dispatch("runsc", POLICY), {"runsc": Seal()}, "gvisordefault")


class Docker:
    """A node with Docker's files below a directory."""

    def __init__(self, root: Path, **watched: Any) -> None:
        self.root = root / "docker"
        (self.root / "containers").mkdir(parents=True)
        self.watched = Watched(root, default=ASKED, **watched)

    def look(
        self,
        documents: Sequence[Mapping[str, Any]],
        images: Sequence[Mapping[str, Any]] = (),
        answers: Mapping[str, Answer] | None = None,
    ) -> Looked:
        """One look at these containers and images."""
        docker = {**info(runtimes=OLD_FORM), "DockerRootDir": str(self.root)}
        listed = listed_ids([document["Id"] for document in documents])
        given = {
            "/info": says(compact(docker)),
            "/containers/json?all=1": says(listed),
            IMAGES: says(compact(list(images))),
        }
        return self.watched.look(documents, {**given, **(answers or {})})


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """A node whose policy names one container, and whose selectors would name another one."""
    exempt = (Exemption(name="shop", reason=REASON),)
    return Docker(tmp_path, must=(COOLIFY,), exempt=exempt)


def test_what_is_no_infrastructure_is_reported_whatever_its_name_and_labels_and_images_are(
    docker: Docker, bare: int
) -> None:
    write_container(docker.root, 1, name="shop", host=BARE, config={"User": "web"})
    shop = [container(1, bare, name="shop")]

    looked = docker.look(shop)
    without_images = docker.look(shop, answers={IMAGES: says("no", "500 Error")})

    assert (without_images.code, without_images.named) == (1, ["shop"])
    assert "images cannot be checked" in without_images.stdout
    assert (looked.code, looked.stderr, looked.named) == (0, "", ["shop"])
    assert "recreate the container, or run pyinfra-gvisor accept NAME" in looked.errors[0]
    assert "gvisor_exempt" not in looked.stdout


def test_infrastructure_is_in_order_and_counted(docker: Docker, bare: int, sandbox: int) -> None:
    write_container(docker.root, 1, name="proxy", host=BARE)
    write_container(docker.root, 2, name="shop", host=RUNSC)

    looked = docker.look([container(1, bare), container(2, sandbox, host=RUNSC)])

    assert (looked.code, looked.stderr) == (0, "")
    assert looked.stdout == (
        "<6>2 containers checked: 1 must run in gVisor and do; 1 are infrastructure\n"
    )


def test_without_a_resident_judge_its_program_is_run(tmp_path: Path, bare: int) -> None:
    docker = Docker(tmp_path, is_resident=False)
    write_container(docker.root, 1, name="proxy", host=BARE)
    write_container(docker.root, 2, name="shop", host=BARE, config={"User": "web"})

    looked = docker.look([container(1, bare), container(2, bare, name="shop")])

    assert (looked.code, looked.stderr, looked.named) == (0, "", ["shop"])


def test_what_asks_for_a_declared_runtime_is_no_infrastructure(docker: Docker, bare: int) -> None:
    write_container(docker.root, 1, host=RUNSC)

    assert docker.look([container(1, bare, host=RUNSC)]).named == ["app"]


def test_only_what_is_known_to_be_no_infrastructure_is_stopped_whatever_it_mounts(
    tmp_path: Path, bare: int
) -> None:
    docker, pipe = Docker(tmp_path, action="stop"), tmp_path / "pipe"
    os.mkfifo(pipe)
    given: dict[str, Any] = {"config": {"User": "web"}, "mounts": {"/x": bind(pipe)}}
    identity = write_container(docker.root, 1, host=BARE, **given)
    write_container(docker.root, 2, name="proxy", host=BARE)
    documents = [container(1, bare), container(2, bare, name="proxy")]

    looked = docker.look(documents, answers={STOP: STOPPED})
    (docker.root / "containers" / identity / "config.v2.json").write_text("{")
    unread = docker.look(documents)

    assert [path for path in looked.asked if "/stop" in path] == [STOP]
    assert "was stopped" in looked.stdout
    assert unread.code == 1
    assert "cannot be checked" in unread.stdout
    assert not [path for path in unread.asked if "/stop" in path]


def test_a_container_that_was_removed_meanwhile_is_no_failure(docker: Docker, bare: int) -> None:
    looked = docker.look([container(1, bare)])

    assert (looked.code, looked.errors) == (0, [])


@table(
    "tag, command",
    by_its_id=(HELPER, f"accept sha256:{9:064x}, or remove it"),
    whose_command_operators_choose=("traefik:v3", "accept with the container's name"),
)
def test_an_unaccepted_image_is_counted_and_named_with_a_command(
    tmp_path: Path, tag: str, command: str
) -> None:
    docker = Docker(tmp_path, metrics=True)
    accepted = {"Id": IMAGE, "RepoTags": ["coollabsio/coolify-helper:1"]}

    looked = docker.look([], [{"Id": f"sha256:{9:064x}", "RepoTags": [tag]}, accepted])

    (line,) = [line for line in looked.stdout.splitlines() if line.startswith("<4>")]
    assert line.startswith(f"<4>image {tag} is not accepted")
    assert line.endswith(f", then run pyinfra-gvisor {command}")
    assert looked.code == 0
    assert "gvisor_watch_unaccepted_images 1\n" in docker.watched.textfile.read_text()


def test_without_a_default_runtime_no_image_is_asked_for_or_counted(tmp_path: Path) -> None:
    watched = Watched(tmp_path, metrics=True)

    assert not [path for path in watched.look([]).asked if "images" in path]
    assert "images" not in watched.textfile.read_text()


def declared(**data: Any) -> Settings:
    """The settings of a host with a watch."""
    given = {f"gvisor_{key}": value for key, value in {"watch": True, **data}.items()}
    settings, problems = load_settings(given)
    assert settings, problems
    return settings


def written(settings: Settings) -> list[str]:
    """The texts of the watch that these settings declare."""
    plan = plan_watch(WatchState(), declared_watch(settings), init="systemd")
    return [file.text for file in plan.files]


def test_the_policy_has_what_the_judge_goes_by() -> None:
    one = written(declared(default="sandbox"))
    other = written(
        declared(default="sandbox", infrastructure=[infrastructure()], must_sandbox=[{"name": "x"}])
    )

    assert re.match(
        r"action report\njudge /opt/gvisor/runtimes/judge-\S+\ndefault {%22policy%22:", other[1]
    )
    assert IMAGE in other[1]
    assert [*one[:1], *one[2:]] == [*other[:1], *other[2:]]


def test_a_seal_alone_changes_nothing_about_the_watch() -> None:
    assert written(declared(seal={})) == written(declared())


def test_the_unit_may_read_what_only_root_may() -> None:
    assert "CAP_DAC_OVERRIDE" in service_text(None)
    assert "default" not in policy_text((COOLIFY,), (), "report", None)
