"""``resolver_state.sh`` in the whole script, with paths of a test: it tells what a node has."""

import hashlib
from pathlib import Path

import pytest

from pyinfra_gvisor.parts.resolver.files import ADDRESS
from pyinfra_gvisor.parts.resolver.state import ResolverState
from tests.table import table
from tests.unit.node_script import Machine
from tests.unit.shells import stub

UNIT = "pyinfra-gvisor-resolver"
ROOT = "26 1 254:0 / / rw,relatime {}- ext4 /dev/vda1 rw\n"
OTHER = "27 26 0:5 / /proc rw,nosuid shared:14 - proc proc rw\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node on which Docker does not run, with a systemctl to which sockets are active."""
    machine = Machine(tmp_path)
    answers = "shift; printf '%s\\n' \"$@\" | sed -e 's/.*socket/active/' -e 's/.*service/failed/'"
    stub(machine.path, "systemctl", f'echo "$*" >> {tmp_path}/asked; {answers}')
    return machine


def have(path: Path, text: str = "", mode: int = 0o644) -> Path:
    """A file, with what is above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def install(machine: Machine) -> dict[str, Path]:
    """Some files of a resolver, with their names as content."""
    directory = machine.gvisor / "resolver"
    modules = (directory / "__main__.py", directory / "pyinfra_gvisor" / "__init__.py")
    paths = [*modules, *(machine.units / f"{UNIT}.{kind}" for kind in ("socket", "service"))]
    return {path.name: have(path, path.name, 0o640) for path in paths}


def test_a_node_without_any_of_it_tells_nothing_but_ip_where_the_unit_starts_it(
    machine: Machine,
) -> None:
    bare = machine.node().part(ResolverState)
    path = have(machine.root / "ip")
    there = machine.node().part(ResolverState).ip
    path.chmod(0o755)

    assert (bare, there) == (ResolverState(), False)
    assert machine.node().part(ResolverState).ip
    assert not (machine.root / "asked").exists(), "systemd is not asked"


@table(
    "mounts, shared",
    shared=([ROOT.format("shared:1 "), OTHER], True),
    of_two_fields=([OTHER, ROOT.format("master:3 shared:1 ")], True),
    private=([ROOT.format(""), OTHER], False),
    slave=([ROOT.format("master:1 "), OTHER], False),
    a_device_so_called=([ROOT.format("").replace("vda1", "shared:1")], False),
    another_above_it=([ROOT.format("shared:1 "), ROOT.format("")], False),
    above_another=([ROOT.format(""), ROOT.format("shared:1 ")], True),
    no_root=([OTHER], False),
)
def test_the_mount_of_the_root_counts(machine: Machine, mounts: list[str], shared: bool) -> None:
    have(machine.root / "mountinfo", "".join(mounts))

    assert machine.node().part(ResolverState) == ResolverState(shared=shared)


def test_every_file_is_told_with_sum_mode_and_owner(machine: Machine) -> None:
    paths = install(machine)

    found = machine.node().part(ResolverState)

    assert found.there
    assert {path: item.model_dump() for path, item in found.files.items()} == {
        str(path): {
            "sha256": hashlib.sha256(path.name.encode()).hexdigest(),
            "mode": "640",
            "owner": f"{path.stat().st_uid}:{path.stat().st_gid}",
        }
        for path in paths.values()
    }
    program = {str(paths["__main__.py"]), str(paths["__init__.py"])}
    assert set(found.strays) == program


@table("broken", broken=True, good=False)
def test_a_link_in_the_place_of_a_file_is_told(machine: Machine, broken: bool) -> None:
    link = install(machine)["__main__.py"]
    other = link.rename(machine.root / "elsewhere.py")
    link.symlink_to("nowhere" if broken else other)

    found = machine.node().part(ResolverState)

    assert str(link) in found.strays
    assert str(link) not in found.files if broken else found.files[str(link)].mode == "777"


def test_units_are_told_as_systemd_has_them(machine: Machine) -> None:
    socket = install(machine)[f"{UNIT}.socket"]
    disabled = machine.node().part(ResolverState)
    link = machine.units / "sockets.target.wants" / f"{UNIT}.socket"
    link.parent.mkdir()
    link.symlink_to("nowhere")

    enabled = machine.node().part(ResolverState)

    assert (disabled.socket, disabled.service, disabled.enabled) == ("active", "failed", False)
    assert enabled == disabled.model_copy(update={"enabled": True})
    asked = f"is-active {UNIT}.socket {UNIT}.service\n"
    assert (machine.root / "asked").read_text() == asked * 2
    socket.unlink()
    assert machine.node().part(ResolverState).socket is None


def test_a_container_asks_while_its_bundle_says_so(machine: Machine) -> None:
    ids = [letter * 64 for letter in "abcd"]
    packaged = machine.root / "run-containerd" / "io.containerd.runtime.v2.task" / "moby"
    dockerds = machine.root / "run-docker" / "daemon" / "io.containerd.runtime.v2.task" / "moby"
    have(packaged / ids[0] / "resolv.conf.docker")
    have(packaged / ids[1] / "config.json")
    have(dockerds / ids[2] / "resolv.conf.docker")
    have(packaged / ids[3] / "resolv.conf.docker")  # on the default bridge
    for path in (packaged / ids[0], dockerds / ids[2]):
        (path / "resolv.conf").write_text(f"search x\nnameserver {ADDRESS}\n")
    (packaged / ids[3] / "resolv.conf").write_text("nameserver 192.0.2.53\n")

    assert machine.node().part(ResolverState) == ResolverState(asks=(ids[0], ids[2]))


ENDED = "4194305"  # above what the kernel ever gives: proc(5)


@table(
    "init, asks",
    created=(None, True),
    written=("", True),
    runs=("1", True),
    ended=(ENDED, False),
)
def test_who_has_ended_asks_no_more(machine: Machine, init: str | None, asks: bool) -> None:
    tasks = machine.root / "run-containerd" / "io.containerd.runtime.v2.task" / "moby"
    bundle = have(tasks / ("a" * 64) / "resolv.conf.docker").parent
    (bundle / "resolv.conf").write_text(f"nameserver {ADDRESS}\n")
    if init is not None:
        (bundle / "init.pid").write_text(init)

    assert machine.node().part(ResolverState).asks == (("a" * 64,) if asks else ())
