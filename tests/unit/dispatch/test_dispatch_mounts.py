"""Mounts of the node's files: which are allowed, by whatever name, and that nobody swaps them."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from tests.table import table
from tests.unit.dispatch.dispatch_files import bind
from tests.unit.dispatch.judged import ID, NOT_ALLOWED, TODO, Judged, bound

HOLDS = "(the volume holds files of the node)"
REPLACED = "refused: the file or directory {} was replaced during the start"


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node with a directory that containers may mount, and one that they may not."""
    (tmp_path / "allowed" / "a" / "b").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    return Judged(tmp_path, Seal(binds=(str(tmp_path / "allowed"),)))


def mount(node: Judged, source: str | Path, **point: Any) -> str:
    """Create a container with this mount, and return what started or was refused."""
    return node.made(bound(source, "/x"), mounts={"/x": {**bind(source), **point}})


def refused(source: str | Path, why: str) -> str:
    """What is said of a mount."""
    return f"{NOT_ALLOWED}mount of {source} on /x {why}{TODO}"


@table(
    "path",
    the_directory="allowed",
    trailing_slash="allowed/",
    below="allowed/a/b",
    slashes_and_dots="allowed//a/./b",
    dots_into="secret/../allowed/a",
    link_into="link-into",
)
def test_what_is_in_an_allowed_directory_may_be_mounted(node: Judged, path: str) -> None:
    (node.root / "link-into").symlink_to("allowed/a")

    assert mount(node, f"{node.root}/{path}") == "runsc"


@table(
    "path, is_itself",
    another_directory=("secret", True),
    dots_out=("allowed/../secret", False),
    link_out=("allowed/link", False),
    link_above=("allowed/a/links/b", False),
    same_beginning=("allowed-not", True),
)
def test_what_is_elsewhere_on_the_node_is_refused_with_its_real_path(
    node: Judged, path: str, *, is_itself: bool
) -> None:
    (node.root / "allowed" / "link").symlink_to("../secret")
    (node.root / "secret" / "b").mkdir()
    (node.root / "allowed" / "a" / "links").symlink_to(node.root / "secret")
    (node.root / "allowed-not").mkdir()
    source = f"{node.root}/{path}"

    said = mount(node, source)

    real = Path(source).resolve()
    assert said == refused(source, "(directory of the node)" if is_itself else f"(which is {real})")


def test_a_source_that_is_missing_is_refused(node: Judged) -> None:
    source = node.root / "allowed" / "nowhere"

    assert mount(node, source) == refused(source, "(not found)")


def test_an_allowed_directory_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "disk" / "a").mkdir(parents=True)
    (tmp_path / "data").symlink_to("disk")
    node = Judged(tmp_path, Seal(binds=(str(tmp_path / "data"),)))

    assert mount(node, tmp_path / "data" / "a") == "runsc"


def test_a_plain_volume_and_a_part_of_it_may_be_mounted(node: Judged) -> None:
    point = node.volume("plain")
    part = Path(point["Source"]) / "sub"
    part.mkdir()
    mounts = {"/x": point, "/y": {**point, "Source": str(part)}}

    assert node.made(bound(point["Source"], "/x"), bound(part, "/y"), mounts=mounts) == "runsc"


@table(
    "options, is_allowed",
    bind=({"MountType": "none", "MountOpts": "bind"}, False),
    tmpfs_bind=({"MountType": "tmpfs", "MountOpts": "size=1m,rbind"}, False),
    disk=({"MountType": "ext4", "MountOpts": ""}, False),
    overlay=({"MountType": "overlay", "MountOpts": "lowerdir=/etc"}, False),
    tmpfs=({"MountType": "tmpfs", "MountOpts": "size=1m"}, True),
)
def test_a_volume_is_judged_by_its_options_before_docker_mounts_it(
    node: Judged, options: dict[str, str], *, is_allowed: bool
) -> None:
    point = node.volume("vol", MountDevice=str(node.root / "secret"), **options)

    said = mount(node, point["Source"], **point)

    assert said == ("runsc" if is_allowed else refused(point["Source"], HOLDS))


NFS = {"MountType": "nfs", "MountOpts": "addr=10.0.0.1,rw", "MountDevice": ":/export"}


def test_a_file_system_of_the_network_is_refused(node: Judged) -> None:
    point = node.volume("vol", **NFS)

    said = mount(node, point["Source"], **point)

    assert said == refused(point["Source"], "(network file system)")


def test_a_file_system_of_the_network_may_be_mounted_where_the_seal_allows_it(
    tmp_path: Path,
) -> None:
    node = Judged(tmp_path, Seal(network_volumes="allow", reason="apps share their uploads"))
    point = node.volume("vol", **NFS)

    assert mount(node, point["Source"], **point) == "runsc"


def test_a_network_that_is_below_all_volumes_is_the_operators(node: Judged) -> None:
    (node.data / "volumes" / "plain").mkdir(parents=True)
    text = node.wrapper["judge"].read_text()
    node.wrapper["judge"].write_text(text.replace('$type // ""]', '"nfs"]'))
    point = node.volume("vol")

    assert mount(node, point["Source"], **point) == "runsc"


def test_a_volume_that_is_an_allowed_directory_by_its_options_may_be_mounted(node: Judged) -> None:
    device = str(node.root / "allowed" / "a")
    point = node.volume("vol", MountType="none", MountOpts="bind", MountDevice=device)

    assert mount(node, point["Source"], **point) == "runsc"


def test_a_volume_whose_source_is_elsewhere_is_refused(node: Judged) -> None:
    secret = str(node.root / "secret")

    assert mount(node, secret, **{**node.volume("vol"), "Source": secret}) == refused(secret, HOLDS)


def test_a_volume_of_a_plugin_must_not_be_a_directory_of_the_node(node: Judged) -> None:
    point = {"Type": "volume", "Name": "v", "Driver": "x/plugin", "RW": True}

    said = mount(node, node.root / "secret", **point)

    why = "(the volume of driver x/plugin holds files of the node)"
    assert said == refused(node.root / "secret", why)


def start(node: Judged, *roots: str | Path) -> str:
    """Start the created container, whose files a process has mounted with these paths."""
    (device,) = {line.split(" ")[0] for line in (node.mounts / ID).read_text().splitlines()}
    state = {"sandbox": {"id": ID}, "goferPid": 4711}
    (node.state / f"{ID}_sandbox:{ID}.state").write_text(json.dumps(state))
    gofer = node.root / "proc" / "4711"
    gofer.mkdir(parents=True)
    (gofer / "mountinfo").write_text(
        "".join(f"9 8 {device} {root} /x rw - ext4 /dev/sda rw\n" for root in roots)
    )
    return node.decided("start", ID)


def inner(node: Judged) -> list[str]:
    """The paths that the judge expects, as the kernel writes them."""
    lines = (node.mounts / ID).read_text().splitlines()
    return [line.split(" ", 1)[1].replace(" ", "\\040") for line in lines]


def test_a_container_starts_with_the_files_that_were_judged(node: Judged) -> None:
    (node.root / "allowed" / "a b\\c\nd").mkdir()
    mount(node, node.root / "allowed" / "a b\\c\nd")

    assert start(node, "/", *inner(node)) == "runsc"
    assert not (node.mounts / ID).exists()


def test_a_container_does_not_start_with_other_files(node: Judged) -> None:
    mount(node, node.root / "allowed" / "a")
    (expected,) = inner(node)

    assert start(node, "/", "/etc") == REPLACED.format(expected)


def test_two_mounts_of_one_directory_are_counted(node: Judged) -> None:
    source = node.root / "allowed" / "a"
    mounts = {"/x": bind(source), "/y": bind(source)}
    node.made(bound(source, "/x"), bound(source, "/y"), mounts=mounts)
    expected, _ = inner(node)

    assert start(node, expected, "/etc") == REPLACED.format(expected)


def test_a_volume_does_not_stand_in_for_a_directory_that_was_replaced(node: Judged) -> None:
    source = node.root / "allowed" / "a"
    point = node.volume("v", MountType="none", MountOpts="bind", MountDevice=str(source))
    point["Source"] = str(source)  # as if it were mounted
    node.made(bound(source, "/x"), bound(source, "/y"), mounts={"/x": bind(source), "/y": point})
    expected, _ = inner(node)

    assert start(node, "/etc", expected) == REPLACED.format(expected)


def test_a_file_that_was_deleted_after_it_was_mounted_is_the_same_file(node: Judged) -> None:
    mount(node, node.root / "allowed" / "a")

    assert start(node, f"{inner(node)[0]}//deleted") == "runsc"


def test_a_container_does_not_start_if_runsc_says_nothing_about_its_mounts(node: Judged) -> None:
    mount(node, node.root / "allowed" / "a")

    assert node.decided("start", ID).startswith("refused: cannot read ")


def test_what_to_check_is_removed_with_the_container(node: Judged) -> None:
    mount(node, node.root / "allowed" / "a")

    node.call("delete", "--force", ID)

    assert list(node.mounts.iterdir()) == []


def test_a_container_without_files_of_the_node_needs_no_check(node: Judged) -> None:
    point = node.volume("plain")

    mount(node, point["Source"], **point)

    assert not node.mounts.exists()


@pytest.mark.parametrize("command", ["run", "restore"])
def test_what_cannot_be_checked_before_its_start_may_not_mount_files_of_the_node(
    node: Judged, command: str
) -> None:
    mount(node, node.root / "allowed" / "a")

    said = "a container with mounts of the node cannot be restored from a checkpoint"
    assert node.create(command=command) == f"refused: {said}"
