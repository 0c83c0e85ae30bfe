"""Where containers would run, as the node itself says it with the code that creates containers."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pyinfra.connectors.util import make_unix_command

from pyinfra_gvisor.base.scripts import packed
from pyinfra_gvisor.dispatch.policy import Dispatch, Infrastructure
from pyinfra_gvisor.dispatch.preview import Preview, preview
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.dispatch.shapes import SHAPES
from pyinfra_gvisor.facts.audit import AuditState
from pyinfra_gvisor.node import Node, state_script
from pyinfra_gvisor.node.next_start import Place, place_lines
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import load_settings
from tests.table import table
from tests.unit.answers import compact, info
from tests.unit.dispatch.dispatch_files import (
    IMAGE,
    bind,
    infrastructure,
    listed_ids,
    write_container,
)
from tests.unit.fake_docker import SECRET, Answer, daemon, routes, says
from tests.unit.node_script import Machine

SEALS = {"runsc": Seal(), "net": Seal(sysctls="strip")}
HELPER = "ghcr.io/coollabsio/coolify-helper:1.0.14"
SOCKET = {"/var/run/docker.sock": bind("/var/run/docker.sock")}


def declared(
    *entries: Mapping[str, Any], seals: Mapping[str, Seal] = SEALS, door: str = "off"
) -> Preview:
    """What a host declares with these entries of ``gvisor_infrastructure``."""
    policy = tuple(Infrastructure.model_validate(item) for item in entries)
    found = preview(Dispatch("runsc", policy, door=door), seals, "gvisordefault")
    assert found
    return found


class Docker:
    """A node with Docker's files, whose fact asks for places."""

    def __init__(self, root: Path, asked: Preview | None = None) -> None:
        self.root = root / "docker"
        (self.root / "containers").mkdir(parents=True)
        asked = asked or declared(infrastructure())
        self.machine = Machine(root, preview=asked.variables)
        (root / "python3").symlink_to("/usr/bin/python3")

    def node(
        self,
        identities: Sequence[str],
        images: Sequence[Mapping[str, Any]] = (),
        answers: Mapping[str, Answer] | None = None,
    ) -> Node:
        """The node on which Docker lists these containers and images."""
        given = {
            **routes([], {**info(), "DockerRootDir": str(self.root)}),
            "/containers/json?all=1": says(listed_ids(identities)),
            IMAGES: says(compact(list(images))),
            **(answers or {}),
        }
        with daemon(self.machine.socket, given):
            return self.machine.node()

    def place(self, **container: Any) -> Place | None:
        """Where the only container of the node would run."""
        identity = write_container(self.root, 1, **container)
        return self.node([identity]).places.get(identity)


def names_of_shapes() -> list[str]:
    """The repositories of all shapes, as Docker lists their images."""
    every = [name for shape in SHAPES.values() for name in shape.repositories]
    return [name.removeprefix("docker.io/").removeprefix("library/") for name in every]


IMAGES = f"/images/json?filters={quote(compact({'reference': names_of_shapes()}), safe='._-')}"


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """A node whose policy names one container."""
    return Docker(tmp_path)


@table("name, why", its_own=("proxy", "not the accepted"), another=("shop", "not infrastructure"))
def test_only_who_is_named_like_infrastructure_is_compared_with_it(
    tmp_path: Path, name: str, why: str
) -> None:
    docker = Docker(tmp_path, declared({**infrastructure(), "name": "proxy"}))

    place = docker.place(name=name, config={"User": "web"})

    assert place
    assert (place.where, place.why[: len(why)]) == ("sandbox", why)


@table(
    "host, when",
    the_default_runtime=({}, "start"),
    no_runtime=({"Runtime": ""}, "start"),
    runc=({"Runtime": "runc"}, "recreated"),
    a_shim=({"Runtime": "io.containerd.runc.v2"}, "recreated"),
    a_runtime_of_somebody_else=({"Runtime": "other"}, "recreated"),
)
def test_infrastructure_and_others_are_told_apart_whatever_runtime_they_were_created_with(
    docker: Docker, host: dict[str, Any], when: str
) -> None:
    known = write_container(docker.root, 1, name="proxy", host=host)
    other = write_container(docker.root, 2, name="shop", host=host, config={"User": "web"})

    places = docker.node([known, other]).places

    asked = host.get("Runtime", "gvisordefault")
    assert places[known] == Place(
        name="proxy",
        asked=asked,
        where="runc",
        why=f"image {IMAGE[:19]}: routes requests to every app",
        when=when,
    )
    assert (places[other].where, places[other].when) == ("sandbox", when)
    assert "user" in places[other].why


@pytest.mark.parametrize("mode", ["NetworkMode", "IpcMode"])
def test_who_shares_a_namespace_with_infrastructure_would_be_refused(
    docker: Docker, mode: str
) -> None:
    apart = {"config": {"User": "web"}}
    known = write_container(docker.root, 1, name="proxy")
    other = write_container(docker.root, 2, name="shop", **apart)
    joins = [
        write_container(docker.root, number, host={mode: f"container:{whose}"}, **apart)
        for number, whose in ((3, known), (4, other), (5, "gone"))
    ]

    places = docker.node([known, other, *joins]).places

    assert [places[one].where for one in joins] == ["refused", "sandbox", "sandbox"]
    kind = {"NetworkMode": "network", "IpcMode": "ipc"}[mode]
    assert f"{kind} namespace of a container outside of gVisor" in places[joins[0]].why


@table(
    "name, when",
    runc=("runc", "start"),
    a_shim=("io.containerd.runc.v2", "start"),
    a_shim_that_is_not_listed=("x.runc.v2", "start"),
    the_oldest_shim=("io.containerd.runtime.v1.linux", "start"),
    a_registered_alias=("compat", "start"),
    an_alias_with_another_program=("swapped", "recreated"),
    another_program_by_a_name_like_runcs=("like.runc.v2", "recreated"),
    another_program=("crun", "recreated"),
    not_registered=("nobody", "recreated"),
)
def test_who_asks_for_runc_by_any_of_its_names_comes_to_the_dispatcher(
    tmp_path: Path, name: str, when: str
) -> None:
    shim = {"runtimeType": "io.containerd.runc.v2"}
    registered = {
        "compat": shim,
        "swapped": {**shim, "options": {"BinaryName": "/usr/bin/crun"}},
        "like.runc.v2": {"path": "/usr/bin/crun"},
        "crun": {"path": "/usr/bin/crun"},
    }
    all_of_runc = preview(Dispatch("runsc", (), takes_runc=True), SEALS, "gvisordefault")
    docker = Docker(tmp_path, all_of_runc)
    told = {**info(runtimes=registered), "DockerRootDir": str(docker.root)}
    identity = write_container(docker.root, 1, host={"Runtime": name})

    places = docker.node([identity], answers={"/info": says(compact(told))}).places

    assert (places[identity].where, places[identity].when) == ("sandbox", when)


def test_a_container_that_asks_for_a_declared_runtime_never_gets_runc(docker: Docker) -> None:
    place = docker.place(host={"Runtime": "runsc"})

    assert place
    assert (place.where, place.why, place.when) == ("sandbox", "runtime runsc", "start")


@table(
    "changes, why",
    privileged=({"host": {"Privileged": True}}, "privileged"),
    network=({"host": {"NetworkMode": "host"}}, "network namespace"),
    sysctl=({"host": {"Sysctls": {"a.b": "1"}}}, "sysctl a.b"),
    bind=({"mounts": {"/x": bind("/etc")}}, "mount of /etc on /x"),
)
def test_what_the_seal_refuses_is_said_before_the_container_is_started(
    docker: Docker, changes: dict[str, Any], why: str
) -> None:
    place = docker.place(**changes)

    assert place
    assert place.where == "refused"
    assert why in place.why
    assert "; ".join(place.reasons) == place.why


def test_the_seal_of_the_runtime_that_is_asked_for_counts(docker: Docker) -> None:
    place = docker.place(host={"Runtime": "net", "Sysctls": {"a.b": "1"}})

    assert place
    assert (place.where, place.why) == ("sandbox", "runtime net; without sysctl a.b")


def test_without_a_default_runtime_only_containers_of_sealed_runtimes_have_a_place(
    tmp_path: Path,
) -> None:
    asked = preview(None, SEALS, "gvisordefault")
    docker = Docker(tmp_path, asked)
    plain = write_container(docker.root, 1, host={"Runtime": "runc"})
    sealed = write_container(docker.root, 2, host={"Runtime": "runsc", "Privileged": True})

    node = docker.node([plain, sealed], answers={IMAGES: says("", "500 Internal Server Error")})

    assert {identity: place.where for identity, place in node.places.items()} == {sealed: "refused"}
    assert node.places_error is None


def test_an_image_of_a_shape_with_an_unknown_id_is_refused_and_listed(docker: Docker) -> None:
    identity = write_container(
        docker.root, 1, image=HELPER, mounts=SOCKET, others={"Image": f"sha256:{9:064x}"}
    )
    images = [
        {"Id": f"sha256:{9:064x}", "RepoTags": ["coollabsio/coolify-helper:2", HELPER]},
        {"Id": IMAGE, "RepoTags": ["coollabsio/coolify-helper:1"], "RepoDigests": None},
        {"Id": f"sha256:{8:064x}", "RepoTags": None, "RepoDigests": [f"{HELPER[:-7]}@sha256:0"]},
        {"Id": f"sha256:{6:064x}", "RepoTags": ["evil.example/coolify-helper:2"]},
    ]

    node = docker.node([identity], images)

    assert node.places[identity].where == "refused"
    assert "is not accepted" in node.places[identity].why
    assert [image.id[-1] for image in node.unaccepted_images] == ["9", "8"]
    first = node.unaccepted_images[0]
    assert first.names == ("coollabsio/coolify-helper:2", HELPER)
    assert "coolify-helper" in first.shapes


def test_a_container_whose_files_are_damaged_would_be_refused(docker: Docker) -> None:
    good = write_container(docker.root, 1)
    bad = write_container(docker.root, 2)
    (docker.root / "containers" / bad / "hostconfig.json").write_text("{")

    places = docker.node([good, bad]).places

    assert places[good].where == "runc"
    assert (places[bad].name, places[bad].where) == (bad[:12], "refused")
    assert places[bad].why.startswith("Docker's files about it cannot be read: ")


def test_a_container_that_was_removed_meanwhile_has_no_place(docker: Docker) -> None:
    node = docker.node([f"{5:064x}"])

    assert (node.places, node.places_error) == ({}, None)


@table(
    "path, answer",
    containers=("/containers/json?all=1", says("no", "500 Server Error")),
    half_an_answer=("/containers/json?all=1", says("[{")),
    images=(IMAGES, says("no", "500 Server Error")),
)
def test_an_answer_that_docker_does_not_give_is_an_error_of_the_places_alone(
    docker: Docker, path: str, answer: Answer
) -> None:
    identity = write_container(docker.root, 1)

    node = docker.node([identity], answers={path: answer})

    assert node.places_error
    assert node.info


def test_a_node_without_gzip_is_no_node_without_containers(docker: Docker) -> None:
    (docker.machine.path / "gzip").unlink()

    node = docker.node([write_container(docker.root, 1)])

    assert node.places_error == "the answer of the node about its containers is incomplete"


def test_a_node_without_docker_has_no_places_and_no_error(docker: Docker) -> None:
    node = docker.machine.node()

    assert (node.places, node.places_error) == ({}, None)


def test_no_value_of_an_environment_leaves_the_node(docker: Docker) -> None:
    write_container(docker.root, 1, config={"Env": [f"PASSWORD={SECRET}-other", f"X={SECRET}"]})
    write_container(docker.root, 2, config={"Labels": {"token": SECRET}, "User": "web"})
    given = {
        **routes([], {**info(), "DockerRootDir": str(docker.root)}),
        "/containers/json?all=1": says(listed_ids([f"{1:064x}", f"{2:064x}"])),
        IMAGES: says("[]"),
    }

    with daemon(docker.machine.socket, given):
        output = docker.machine.output()

    assert output.count("\nplace {") == 2
    assert "environment (PASSWORD)" in output
    assert SECRET not in output


def test_any_text_in_a_name_or_a_path_is_told_as_it_is(docker: Docker) -> None:
    nasty = 'a"\\\n{[ \u2028 gr\u00fc\u00df \U0001f600'

    place = docker.place(name=nasty, mounts={"/x": bind(f"/nowhere/{nasty}")})

    assert place
    assert place.name == nasty
    assert f"/nowhere/{nasty}" in place.why


def test_places_are_printed_as_json_and_read_back(docker: Docker) -> None:
    node = docker.node([write_container(docker.root, 1)])

    assert Node.model_validate(json.loads(json.dumps(node.to_json()))).places == node.places != {}


def test_sixty_containers_take_less_than_five_seconds(docker: Docker) -> None:
    identities = [write_container(docker.root, number) for number in range(1, 61)]

    began = time.monotonic()
    assert len(docker.node(identities).places) == 60
    assert time.monotonic() - began < 5


def test_a_host_without_a_default_and_without_a_seal_is_asked_as_before() -> None:
    settings, _ = load_settings({})

    assert settings
    assert settings.preview is None
    assert "preview" not in state_script()


def test_a_host_with_a_default_is_asked_the_same_and_one_section_more() -> None:
    settings, _ = load_settings({"gvisor_default": "sandbox"})

    assert settings
    assert settings.preview
    lines = state_script(preview=settings.preview.variables).splitlines()
    before = state_script().splitlines()
    assert [line for line in before if line not in lines] == [
        line for line in before if line.startswith("parts=")
    ]


def test_the_same_policy_is_always_the_same_command_and_another_one_is_not() -> None:
    one, same, other = declared(infrastructure()), declared(infrastructure()), declared()

    assert one.variables == same.variables
    assert one.variables != other.variables
    assert (one, hash(one)) == (same, hash(same))
    assert str(one) == "as declared"


def test_two_hundred_entries_fit_into_one_command() -> None:
    entries = [
        infrastructure(image=f"sha256:{number:064x}", name=f"app-{number}") for number in range(200)
    ]
    policy = Dispatch("runsc", tuple(Infrastructure.model_validate(item) for item in entries))
    written = wrappers("20260928.0", {"runsc": Runtime(seal=Seal())}, policy)

    asks = AuditState().command(preview=declared(*entries), looks=True)
    assert len(make_unix_command(asks, _sudo=True).get_raw_value()) < 128 * 1024  # execve(2)
    assert sum(len(packed(item.text)) for item in written) < 120_000


def test_what_nobody_could_create_again_is_named_where_dockerd_asks_first(tmp_path: Path) -> None:
    volumes = {
        "Volumes": [
            {"Name": "data", "Driver": "local", "Options": None},
            {"Name": "etc", "Driver": "local", "Options": {"o": "bind", "device": "/etc"}},
        ]
    }
    ours = {"Config": [{"Subnet": "172.18.0.0/16"}]}
    named = {"com.docker.network.bridge.name": "lo"}
    networks = [
        {"Name": "bridge", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": "8.8.8.0/24"}]}},
        {"Name": "host", "Driver": "host", "IPAM": {"Config": None}},
        {"Name": "app", "Driver": "bridge", "IPAM": ours, "Options": named},
        {"Name": "old", "Driver": "macvlan", "IPAM": ours, "Options": {"parent": "eth0"}},
    ]
    answers = {"/volumes": says(compact(volumes)), "/networks": says(compact(networks))}

    first, second = (
        Docker(tmp_path / door, declared(door=door)).node([], answers=answers)
        for door in ("refuse", "off")
    )

    its = tmp_path / "refuse" / "docker" / "volumes" / "etc" / "_data"
    holds = f"mount of {its} on / (the volume would hold files of the node)"
    assert [(item.kind, item.name, item.why) for item in first.not_again] == [
        ("volume", "etc", holds),
        ("network", "old", "driver macvlan; the interface eth0 of the node"),
    ]
    assert (first.places_error, second.places_error, second.not_again) == (None, None, ())
    lines = place_lines({}, (), (), first.not_again)
    assert lines[1].text == (
        "network old stays, but Docker would refuse a new one: driver macvlan; the interface eth0 "
        "of the node"
    )
