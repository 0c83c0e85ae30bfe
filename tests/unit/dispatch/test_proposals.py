"""What is proposed for images and containers, and what an operator sees before accepting one."""

import copy
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.dispatch.accepted import is_same
from pyinfra_gvisor.dispatch.policy import Dispatch, Infrastructure
from pyinfra_gvisor.dispatch.proposals import Proposal, proposals
from pyinfra_gvisor.dispatch.pulled import Pulled, parse_pulled, pulled_script
from pyinfra_gvisor.dispatch.shapes import PROJECT_DIR, SHAPES, SOCKET, Shape
from pyinfra_gvisor.judge.docker_files import read_container
from pyinfra_gvisor.judge.infrastructure import decide
from pyinfra_gvisor.platforms.discovered import HostFound, lines, read_found, unused, write_found
from pyinfra_gvisor.platforms.selection import cards, chosen, file_of, with_reason
from tests.table import table
from tests.unit.answers import compact
from tests.unit.dispatch.infrastructure import (
    IMAGE,
    KNOWN,
    PROJECT,
    as_files,
    as_it_is,
    container,
    image,
    pulled,
    pulled_lines,
)
from tests.unit.fake_docker import SECRET, daemon, says

OTHER = "sha256:" + "b" * 64
APP = {"coolify.managed": "true", "coolify.type": "application", "coolify.name": "shop"}
PLAIN = image("registry.example.com/agent:1")


def only(*found: Mapping[str, Any], **asked: Any) -> Proposal:
    """The one proposal for what a node has."""
    (one,) = proposals(pulled(*found), **asked)
    return one


def entry_of(proposal: Proposal) -> Infrastructure:
    """The entry of a proposal that has one."""
    assert proposal.entry, proposal.problem
    return proposal.entry


def found_on(
    *things: Mapping[str, Any],
    host: str = "run-1",
    reads: str | None = "infrastructure.json",
    entries: tuple[Infrastructure, ...] = (),
) -> HostFound:
    """What a host has."""
    return HostFound(host, reads, entries, pulled(*things))


def test_a_pulled_helper_is_proposed_as_it_is_in_the_image() -> None:
    helper, cleanup = proposals(pulled(image()))

    entry = entry_of(helper)
    assert (helper.shape, cleanup.shape) == ("coolify-helper", "coolify-cleanup")
    assert entry.image == IMAGE
    assert entry.entrypoint == ("/sbin/tini", "--")
    assert entry.command == ("tail", "-f", "/dev/null")
    assert (entry.user, entry.working_dir) == ("root", "/artifacts")
    assert "RAILPACK_VERSION=0.23.0" in entry.env


def test_volumes_of_the_image_are_mounts_that_a_container_has() -> None:
    one = image("quay.io/prometheus/node-exporter:v1", Volumes={"/data": {}, "/host": {}})
    exporter = container("exporter", of=one, mounts=["/:/host:ro"])

    assert entry_of(only(one, exporter)).optional_mounts == ("volume:/data:rw",)


def test_the_health_check_of_docker_run_is_added_to_the_images() -> None:
    own = {"Test": ["CMD", "true"], "Timeout": 5, "StartPeriod": 7}

    entry = entry_of(only(image("docker.io/coollabsio/sentinel:1", Healthcheck=own)))

    assert entry.healthcheck is not None
    assert entry.healthcheck["Test"][1].startswith("curl --fail")
    assert (entry.healthcheck["Timeout"], entry.healthcheck["Retries"]) == (5, 3)


def test_a_container_of_no_known_shape_is_recorded_as_it_is() -> None:
    mounts = (f"{SOCKET}:ro", "volume:/cache:rw", "volume=agent_data:/data:rw")
    ports = {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}
    host = {"GroupAdd": ["998"], "PortBindings": ports}
    one = container("agent.1", of=PLAIN, mounts=mounts, env=["A=1"], host=host, OpenStdin=True)

    entry = entry_of(only(PLAIN, one))

    assert entry.shape is None
    assert entry.mounts == mounts
    assert entry.name == "agent[.]1"
    assert "A=1" in entry.env
    assert entry.auto_remove is True
    assert (entry.stdin, entry.tty, entry.groups) == (True, False, ("998",))
    assert entry.ports == ("80:80/tcp",)


def test_a_service_of_compose_is_accepted_with_its_project() -> None:
    labels = {
        "com.docker.compose.project": "edge",
        "com.docker.compose.project.working_dir": "/srv/edge",
        "com.docker.compose.project.config_files": "/srv/edge/compose.yaml",
    }

    entry = entry_of(only(PLAIN, container("edge-1", of=PLAIN, labels=labels)))

    assert (entry.shape, entry.labels) == ("compose", labels)


def test_a_container_that_compose_did_not_start_is_accepted_without_composes_labels() -> None:
    labels = {"com.docker.swarm.service.name": "edge"}
    (found,) = proposals(pulled(PLAIN, container("edge", of=PLAIN, labels=labels)))

    entry = entry_of(found)

    assert (entry.labels, entry.without_labels) == ({}, ("com.docker.compose.",))


def test_a_node_exporter_of_compose_is_accepted_with_its_project() -> None:
    one = image("quay.io/prometheus/node-exporter:v1")
    labels = {"com.docker.compose.project.working_dir": "/srv/edge"}
    found = {"of": one, "mounts": ("/:/host:ro",), "host": {"NetworkMode": "host"}}

    by_itself = proposals(pulled(one, container("exporter", **found)))
    by_compose = proposals(pulled(one, container("edge-1", **found, labels=labels)))

    assert [item.shape for item in by_itself] == ["node-exporter"]
    assert entry_of(by_compose[0]).labels == labels


SOCKETS = table(
    "name",
    traefik="traefik",
    portainer="portainer/portainer-ce",
    watchtower="containrrr/watchtower",
    dozzle="amir20/dozzle",
    caddy="lucaslorentz/caddy-docker-proxy",
    nginx_proxy="nginxproxy/nginx-proxy",
)


@SOCKETS
def test_a_program_that_needs_docker_is_known_by_its_image_and_recorded_as_it_is(name: str) -> None:
    one = image(f"{name}:v3")
    labels = {PROJECT: "edge", PROJECT_DIR: "/srv/edge"}
    given = {"of": one, "mounts": (f"{SOCKET}:ro", "volume=data:/data:rw")}

    by_itself = only(one, container("edge", **given))
    by_compose = only(one, container("edge-1", **given, labels=labels))

    assert (by_itself.shape, by_compose.shape) == ("", "compose")
    assert entry_of(by_itself).without_labels == ("com.docker.compose.",)
    assert entry_of(by_compose).labels == labels
    assert entry_of(by_compose).mounts == (f"{SOCKET}:ro", "volume=data:/data:rw")


@SOCKETS
def test_its_usual_options_are_in_its_entry_and_no_others_fit(name: str) -> None:
    one = image(f"{name}:v3")
    host = {
        "SecurityOpt": ["no-new-privileges:true"],
        "Init": True,
        "Tmpfs": {"/run": ""},
        "Dns": ["192.0.2.1"],
        "PidMode": "host",
    }
    by_docker = {**host, "SecurityOpt": [*host["SecurityOpt"], "label=disable"]}
    given = {"of": one, "mounts": (f"{SOCKET}:ro", "tmpfs:/run:rw")}

    entry = entry_of(only(one, container("edge", **given, host=by_docker)))

    assert entry.options == {key: value for key, value in host.items() if key != "PidMode"}
    for key in entry.options:
        other = container("edge", **given, host={**by_docker, key: None})
        (item,) = proposals(pulled(one, other), wanted=["edge"], known=[entry])
        assert item.entry is not None
        assert not is_same(item.entry, entry)


@SOCKETS
def test_a_new_one_is_refused_with_the_name_that_accept_takes(name: str, tmp_path: Path) -> None:
    one = image(f"{name}:v3")
    labels = {PROJECT: "edge", PROJECT_DIR: "/srv/edge"}
    made = container("edge-1", of=one, mounts=(f"{SOCKET}:ro",), labels=labels)
    (tmp_path / "containers" / made["Id"]).mkdir(parents=True)
    for file, content in zip(("config.v2", "hostconfig"), as_files(made), strict=True):
        (tmp_path / "containers" / made["Id"] / f"{file}.json").write_text(json.dumps(content))

    found = decide(read_container(str(tmp_path), made["Id"]), Dispatch("runsc", ()).rules())

    assert (found.where, found.accept) == ("refused", "edge-1")
    assert chosen([found_on(one, made)], [found.accept], None)


@table(
    "host, named",
    privileged=({"Privileged": True}, "privileges"),
    devices=({"Devices": [{"PathOnHost": "/dev/kvm"}]}, "Devices"),
    network_of_another=({"NetworkMode": "container:x"}, "network"),
    processes_of_another=({"PidMode": "container:x"}, "PID namespace"),
    ipc=({"IpcMode": "host"}, "IPC namespace"),
    links=({"Links": ["/a:/b"]}, "Links"),
    unmasked=({"MaskedPaths": []}, "MaskedPaths"),
    control_group=({"CgroupParent": "/x"}, "CgroupParent"),
)
def test_what_no_entry_can_allow_is_named(host: dict[str, Any], named: str) -> None:
    proposal = only(PLAIN, container("agent", of=PLAIN, host=host))

    assert proposal.entry is None
    assert proposal.problem == f"no entry allows {named}"


def test_no_image_with_a_shell_of_its_own_is_accepted() -> None:
    helper, agent = (image(tag, Shell=["/bin/bash"]) for tag in (*image()["RepoTags"], "agent:1"))

    found = [*proposals(pulled(helper)), only(agent, container("agent", of=agent))]

    assert {item.problem for item in found} == {"no entry allows shell"}


def test_a_value_that_did_not_leave_the_node_is_free_and_is_said() -> None:
    proposal = only(PLAIN, container("agent", of=PLAIN, env=["API_TOKEN"]))

    assert entry_of(proposal).env_free == ("API_TOKEN",)
    assert any("API_TOKEN" in note for note in proposal.notes)


@pytest.mark.parametrize("name", ["GIT_TOKEN", "DOCKER_AUTH_TOKEN", "SSH_KEY"])
def test_a_secret_that_cannot_be_free_is_refused(name: str) -> None:
    proposal = only(PLAIN, container("agent", of=PLAIN, env=[name]))

    assert proposal.entry is None
    assert name in proposal.problem


def test_a_command_with_a_secret_is_not_written() -> None:
    proposal = only(PLAIN, container("agent", of=PLAIN, Cmd=["run", "--token=hunter2"]))

    assert proposal.entry is None
    assert "hunter2" not in proposal.problem


def test_what_a_container_has_otherwise_than_its_image_is_said() -> None:
    check = {"Test": ["CMD-SHELL", "id"]}

    proposal = only(
        PLAIN, container("agent", of=PLAIN, Cmd=["id"], Healthcheck=check, User="5", env=["A=1"])
    )

    other = [note.partition(": ")[2] for note in proposal.notes]
    assert other == ["command", "environment (A)", "health check", "user"]


def test_variables_that_its_shape_leaves_free_are_not_worth_a_note() -> None:
    helper, _ = proposals(pulled(image(), container(env=["COOLIFY_URL=https://a", "OTHER=1"])))

    assert [note for note in helper.notes if "COOLIFY_URL" in note] == []
    assert "differs from its image: environment (OTHER)" in helper.notes


def test_a_container_of_a_known_image_that_asks_for_nothing_needs_no_entry() -> None:
    upload = container("backup-of-1", mounts=["/data/coolify/backups/a:/a:ro"])

    assert {item.subject for item in proposals(pulled(image(), upload))} == {image()["RepoTags"][0]}


def test_a_table_says_what_is_accepted_and_what_is_not() -> None:
    here = pulled(image())
    helper, cleanup = proposals(here)

    said = list(lines([helper, cleanup], [entry_of(helper)]))

    assert [line.split()[-1] for line in said[1:3]] == ["yes", "no"]
    assert said[-1].startswith("to accept: ")
    assert len(list(lines([helper], [entry_of(helper)]))) == 2


def test_an_entry_that_is_accepted_otherwise_is_told_apart() -> None:
    helper, _ = proposals(pulled(image()))
    old = entry_of(helper).model_copy(update={"command": ("old",)})

    assert list(lines([helper], [old]))[1].endswith("other")


def test_no_entry_is_offered_for_a_tenants_app() -> None:
    said = "\n".join(lines([only(PLAIN, container("shop", of=PLAIN, labels=APP))], []))

    assert "belongs to application shop of Coolify" in said
    assert "an app" in said
    assert '"image"' not in said


def test_an_accepted_image_that_is_gone_is_said() -> None:
    helper, _ = proposals(pulled(image()))

    (line,) = unused([entry_of(helper)], Pulled({}, ()))

    assert line == "accepted, but not on this node: aaaaaaaaaaaa (coolify-helper)"


def test_what_a_deploy_found_comes_to_the_command(tmp_path: Path) -> None:
    helper, _ = proposals(pulled(image()))
    there = [
        found_on(image(), container(), host="run-2", entries=(entry_of(helper),)),
        found_on(host="run-1", reads=None),
    ]

    for number, item in enumerate(there):
        write_found(tmp_path, number, item)

    assert list(read_found(tmp_path)) == [there[1], there[0]]


@pytest.mark.parametrize(
    "wanted", [IMAGE, IMAGE.removeprefix("sha256:"), "a" * 12], ids=["id", "digits", "short"]
)
def test_an_image_is_chosen_by_its_id_on_all_hosts(wanted: str) -> None:
    found = [found_on(image()), found_on(image(), host="run-2")]

    picked = chosen(found, [wanted], None)

    assert [item.entry.shape for item in picked] == ["coolify-helper", "coolify-cleanup"]
    assert picked[0].hosts == ("run-1", "run-2")
    assert file_of(found, picked) == "infrastructure.json"


def test_the_reason_says_what_was_accepted_and_where() -> None:
    one = chosen([found_on(image())], [IMAGE], None)[0]

    assert with_reason(one, None, "2026-11-28").reason == (
        "docker.io/coollabsio/coolify-helper:1.0.15 on run-1, accepted 2026-11-28"
    )
    assert with_reason(one, "we looked at it", "").reason == "we looked at it"


@table(
    "wanted, says",
    unknown=("c" * 12, "no node has such an image or container"),
    too_short=("aaaa", "no known kind"),
)
def test_what_no_host_has_is_refused(wanted: str, says: str) -> None:
    with pytest.raises(Problem, match=says):
        chosen([found_on(image())], [wanted], None)


def test_an_image_of_an_unknown_name_needs_a_shape() -> None:
    with pytest.raises(Problem, match="no known kind"):
        chosen([found_on(PLAIN)], [IMAGE], None)

    (one,) = chosen([found_on(PLAIN)], [IMAGE], "coolify-sentinel")
    assert one.entry.shape == "coolify-sentinel"


def proxy(*more: str, name: str = "coolify-proxy", **changes: Any) -> dict[str, Any]:
    """Coolify's proxy, with further mounts."""
    one = copy.deepcopy(as_it_is(SHAPES["coolify-proxy"])[1])
    own = container(name, of=PROXY, mounts=[*SHAPES["coolify-proxy"].fixed["mounts"], *more])
    return {
        **one,
        **{key: own[key] for key in ("Id", "Name", "Mounts")},
        "Running": False,
        "Args": [*one["Args"], "--ping=true"],
        **changes,
    }


PROXY = as_it_is(SHAPES["coolify-proxy"])[0]


def test_an_image_whose_command_operators_choose_is_accepted_as_its_refused_container() -> None:
    here = found_on(PROXY, proxy(), proxy(name="of-a-tenant"))
    only_pulled = found_on(PROXY, host="run-2")

    (one,) = chosen([only_pulled, here], [IMAGE], None)

    assert one.proposal.subject == "coolify-proxy"
    assert one.entry.command[-1] == "--ping=true"
    assert one.hosts == ("run-1",)


def test_an_image_whose_command_operators_choose_needs_a_container() -> None:
    found = [found_on(PROXY, proxy(name="of-a-tenant"))]

    with pytest.raises(
        Problem, match=r"start it once, then run pyinfra-gvisor accept coolify-proxy"
    ):
        chosen(found, [IMAGE], None)


def test_the_same_image_with_other_flags_on_two_nodes_is_two_entries() -> None:
    other = found_on(PROXY, proxy(Args=["--", "--other"]), host="run-2")

    assert len(chosen([found_on(PROXY, proxy()), other], ["coolify-proxy"], None)) == 2


@table(
    "changes, says",
    variable=({"env": ["NPM_TOKEN=1"]}, r"\(NPM_TOKEN\), which env_free would"),
    that_runs_commands=({"env": ["GIT_DIR=1"]}, r"\(GIT_DIR\), which env would"),
    command=({"Cmd": ["id"]}, "command, which command would allow"),
    user=({"User": "1"}, "user, which user would allow"),
    directory=({"WorkingDir": "/"}, "directory, which working_dir would"),
    capabilities=({"host": {"CapAdd": ["A"]}}, "which capabilities would"),
    network=({"host": {"NetworkMode": "host"}}, "which network would"),
    mount=({"mounts": (f"{SOCKET}:rw", "/etc:/x:ro")}, "which optional_mounts would"),
    removal=({"host": {"AutoRemove": False}}, "removal, which no key allows"),
    privileged=({"host": {"Privileged": True}}, "privileges, which no key"),
)
def test_a_container_that_its_entry_would_not_fit_is_refused_with_the_key(
    changes: dict[str, Any], says: str
) -> None:
    found = [found_on(image(), container(**changes))]

    with pytest.raises(Problem, match=says):
        chosen(found, ["h" * 24], None)

    assert len(chosen(found, [IMAGE], None)) == 2


def test_a_container_for_which_the_operator_has_edited_its_entry_is_accepted_already() -> None:
    helper, _ = proposals(pulled(image()))
    edited = entry_of(helper).model_copy(update={"env_free": ("NPM_TOKEN",)})
    there = container(env=["NPM_TOKEN=1"])

    (one,) = chosen([found_on(image(), there, entries=(edited,))], ["h" * 24], None)

    assert one.entry == edited


def test_a_proxy_with_one_more_mount_is_accepted_as_it_is_on_demand() -> None:
    found = [found_on(PROXY, proxy("/etc/ssl:/certs:ro"))]

    for name in (IMAGE, "coolify-proxy"):
        with pytest.raises(Problem, match="unchanged with --shape compose"):
            chosen(found, [name], None)
    (one,) = chosen(found, ["coolify-proxy"], "compose")
    assert "/etc/ssl:/certs:ro" in one.entry.mounts


@pytest.mark.parametrize("shape", [pytest.param(item, id=item.name) for item in KNOWN])
def test_a_platforms_own_container_is_accepted_by_its_name(shape: Shape) -> None:
    own, made = as_it_is(shape)

    (one,) = chosen([found_on(own, made)], [made["Name"][1:]], None)

    assert one.entry.shape == shape.name


def test_an_image_is_not_listed_beside_the_container_that_tells_its_entry() -> None:
    labels = {PROJECT_DIR: "/srv/edge"}
    own, made = as_it_is(SHAPES["node-exporter"])
    made["Config"]["Labels"] = labels

    assert only(own, made).shape == "compose"


def test_a_table_says_whether_an_image_without_a_container_is_accepted() -> None:
    entry = entry_of(only(PROXY, proxy()))

    said = [list(lines([only(PROXY)], known))[1] for known in ([], [entry])]

    assert [row.split()[-1] for row in said] == ["no", "yes"]


def test_nothing_is_written_that_no_host_reads() -> None:
    found = [found_on(image(), reads=None)]

    says = r"names no file, got run-1; add to group_data/run\.py: gvisor_infra"
    with pytest.raises(Problem, match=says):
        file_of(found, chosen(found, [IMAGE], None))


def test_hosts_that_read_no_file_do_not_matter_if_another_reads_one() -> None:
    found = [found_on(image(), host="control", reads=None), found_on(image())]

    assert file_of(found, chosen(found, [IMAGE], None)) == "infrastructure.json"


def test_several_files_are_refused() -> None:
    found = [found_on(image()), found_on(image(), host="run-2", reads="eu.json")]

    with pytest.raises(Problem, match=r"several files, got eu\.json, infrastructure\.json"):
        file_of(found, chosen(found, [IMAGE], None))


def warned(*found: HostFound, name: str = IMAGE, shape: str | None = None) -> list[str]:
    """The warnings about what is chosen, but for that of docker.sock."""
    said = cards(found, chosen(found, [name], shape))
    warnings = [line.removeprefix("WARNING  ") for line in said if line.startswith("WARNING")]
    return [text for text in warnings if "docker.sock" not in text]


@SOCKETS
def test_what_an_entry_gives_a_container_of_the_node_is_said(name: str) -> None:
    given = {"mounts": (f"{SOCKET}:ro", "volume=data:/data:rw")}
    host = {"NetworkMode": "host", "Init": True, "CapAdd": ["NET_ADMIN"]}
    one = found_on(
        image(f"{name}:v3"), container("edge", of=image(f"{name}:v3"), **given, host=host)
    )

    said = [*cards([one], chosen([one], ["edge"], None))]

    assert "WARNING  edge has docker.sock: this container is root on the node" in said
    assert [line.removeprefix("allows   ") for line in said if line.startswith("allows")] == [
        f"edge: mounts {SOCKET}:ro, volume=data:/data:rw",
        "edge: network host",
        "edge: capabilities NET_ADMIN",
        'edge: options {"Init": true}',
    ]


TAGS, DIGESTS = image()["RepoTags"], image()["RepoDigests"]
EVIL = {"RepoDigests": [f"evil/x@sha256:{'d' * 64}"]}
MIRROR = f"mirror.example.com/x@sha256:{'e' * 64}"
OF_NONE = "no digest has the name docker.io/coollabsio/coolify-helper: "
LATER = "somebody gave this tag later to an image of docker.io/evil/x"


@table(
    "changes, said",
    pulled=({}, None),
    pulled_by_its_digest=({"RepoTags": []}, None),
    one_more_repository=({"RepoDigests": [*DIGESTS, MIRROR]}, None),
    made_on_the_node=({"RepoDigests": []}, "no repository digest: the image was built or loaded.*"),
    tag_of_anothers_image=(EVIL, f"{OF_NONE}{LATER}"),
    a_second_tag=({**EVIL, "RepoTags": ["evil/x:0", "evil/x:1", *TAGS]}, f"{OF_NONE}.*"),
    containerds_store=({"Containerd": True}, ".*docker buildx imagetools inspect.*"),
    its_digest=({"Containerd": True, "RepoTags": []}, f".*inspect {DIGESTS[0]}"),
)
def test_an_image_is_doubted_by_its_tags_and_digests(changes: Any, said: str | None) -> None:
    shape = None if changes.get("RepoTags", TAGS) else "coolify-helper"

    found = warned(found_on({**image(), **changes}), shape=shape)

    assert [bool(re.fullmatch(said or "", text)) for text in found] == [True] * bool(said)


def test_the_same_tag_with_another_image_on_another_node_is_seen() -> None:
    (text,) = warned(found_on(image()), found_on({**image(), "Id": OTHER}, host="run-2"))

    assert text.startswith("on run-2, docker.io/coollabsio/coolify-helper:1.0.15 is another image")


def test_a_tenants_app_is_warned_of() -> None:
    there = found_on(PLAIN, container("shop", of=PLAIN, labels=APP))

    (text,) = warned(there, name="shop")

    assert text == (
        "container shop is application shop of Coolify: a tenant's app, and not infrastructure"
    )


def asked(
    tmp_path: Path,
    *found: Mapping[str, Any],
    wanted: tuple[str, ...] = (),
    volumes: Mapping[str, Any] | None = None,
) -> str:
    """What a node with these images, containers and options of volumes prints."""
    made = [item for item in found if "RepoTags" in item]
    run = [item for item in found if "RepoTags" not in item]
    answers = {
        "/images/json": says(compact(made)),
        "/containers/json?all=1": says(
            compact([{"Id": item["Id"], "Names": [item["Name"]]} for item in run])
        ),
        **{f"/images/{item['Id']}/json": says(compact(item)) for item in made},
        **{f"/containers/{item['Id']}/json": says(compact(item)) for item in run},
        **{
            f"/volumes/{name}": says(compact({"Options": options}))
            for name, options in (volumes or {}).items()
        },
    }
    socket = tmp_path / "docker.sock"
    with daemon(socket, answers):
        ran = subprocess.run(
            ["sh", "-c", pulled_script(str(socket), wanted)],
            capture_output=True,
            text=True,
            check=True,
        )
    return ran.stdout


def test_a_node_tells_of_known_images_and_of_what_a_sandbox_would_refuse(tmp_path: Path) -> None:
    app = container("shop", of={**image("shop:1"), "Id": OTHER}, mounts=())
    lines_of = asked(tmp_path, image(), {**image("shop:1"), "Id": OTHER}, container(), app)

    found = parse_pulled(lines_of.splitlines())

    assert list(found.images) == [IMAGE]
    assert [item.name for item in found.containers] == ["h" * 24]
    assert found.names == ("h" * 24, "shop")


@table(
    "options, mount",
    none=(None, "volume=data:/data:rw"),
    a_size=({"o": "size=1g"}, "volume=data:/data:rw"),
    a_directory=(
        {"type": "none", "o": "bind", "device": "/etc"},
        "/var/lib/docker/volumes/data/_data:/data:rw",
    ),
)
def test_a_volume_that_is_something_else_by_its_options_is_no_plain_volume(
    tmp_path: Path, options: Mapping[str, str] | None, mount: str
) -> None:
    there = container(mounts=(f"{SOCKET}:rw", "volume=data:/data:rw"))

    said = asked(tmp_path, image(), there, volumes={"data": options})

    assert str(parse_pulled(said.splitlines()).containers[0].mounts[1]) == mount


def test_a_node_tells_of_what_is_asked_for(tmp_path: Path) -> None:
    app = container("shop", of={**image("shop:1"), "Id": OTHER}, mounts=())
    there = ({**image("shop:1"), "Id": OTHER}, app)

    by_name = parse_pulled(asked(tmp_path, *there, wanted=("shop",)).splitlines())

    assert (list(by_name.images), by_name.containers[0].name) == ([OTHER], "shop")
    (tmp_path / "docker.sock").unlink()
    by_id = parse_pulled(asked(tmp_path, *there, wanted=(OTHER[:30],)).splitlines())
    assert list(by_id.images) == [OTHER]


def test_digits_are_an_id_and_never_a_name(tmp_path: Path) -> None:
    name = IMAGE.removeprefix("sha256:")[:12]
    app = container(name, of={**image("shop:1"), "Id": OTHER}, mounts=())

    told = parse_pulled(
        asked(tmp_path, image(), {**image("shop:1"), "Id": OTHER}, app, wanted=(name,)).splitlines()
    )

    assert (list(told.images), told.containers) == ([IMAGE], ())
    picked = chosen([found_on(image(), {**image("shop:1"), "Id": OTHER}, app)], [name], None)
    assert {item.entry.image for item in picked} == {IMAGE}
    with pytest.raises(Problem, match="digits are never a name, and an id needs 12 or more"):
        chosen([found_on({**image("shop:1"), "Id": OTHER}, app)], [name], None)


SECRETS = [
    f"API_TOKEN={SECRET}",
    f"mysql_password={SECRET}",
    f"DATABASE_URL=postgres://app:{SECRET}@db/app",
    f"CERT=-----BEGIN PRIVATE KEY-----{SECRET}",
]


@pytest.mark.parametrize("variable", SECRETS, ids=["token", "password", "url", "key"])
def test_no_secret_leaves_a_node(variable: str, tmp_path: Path) -> None:
    one = container(env=[variable, "LEVEL=3"])
    one["Config"]["Labels"]["secret-label"] = SECRET

    said = asked(tmp_path, image(Env=[variable]), one)

    found = parse_pulled(said.splitlines())
    assert SECRET not in said
    assert {variable.partition("=")[0], "LEVEL=3"} <= {*found.containers[0].config.env}


def test_other_than_ascii_survives_the_fact(tmp_path: Path) -> None:
    said = asked(tmp_path, image(), container(env=["NAME=gr\u00fc\u00df \U0001f40b"]))

    assert said.isascii()
    found = parse_pulled(said.splitlines())
    assert "NAME=gr\u00fc\u00df \U0001f40b" in found.containers[0].config.env


@table(
    "output",
    nothing=[],
    cut_short=pulled_lines(image())[:-1],
    other_line=["what?", *pulled_lines()],
    no_json=["image {", *pulled_lines()],
    no_container=[f"container {json.dumps({})}", *pulled_lines()],
)
def test_an_answer_that_is_not_whole_is_refused(output: list[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and json's are among them
        parse_pulled(output)
