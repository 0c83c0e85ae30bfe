"""What is said about mistakes by a run, and by ``pyinfra-gvisor check``, which asks no node."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyinfra_gvisor.command.__main__ import main
from tests.arguments import Patch
from tests.cases.cli import CHECKOUT, fake, inventory, pyinfra
from tests.table import table
from tests.unit.answers import answer

BROKEN = '{\n  "debug": true,\n  "log-level": "info"\n  "icc": false\n}\n'
RUN_1 = inventory(run={"run-1": fake(answer())})


@dataclass(frozen=True)
class Mistake:
    """A file of group data or an inventory with a mistake in it, and all that has to be said."""

    says: tuple[str, ...]
    inventory: str = RUN_1
    group_data: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


def in_group_data(text: str, *says: str, name: str = "run.py") -> Mistake:
    """A mistake in a file of group data, which is named unless it is the mistake itself."""
    return Mistake(("run-1", *says), group_data={name: text})


def on_the_node(*says: str, **told: object) -> Mistake:
    """What a node tells."""
    hosts = {"run-1": fake(answer(**told))}  # type: ignore[arg-type]  # by name
    return Mistake(says, inventory(run=hosts))


FILE = "inventories/group_data/run.py: "
MISTAKES = {
    "a-typo-in-a-key": in_group_data(
        "gvisor_relase = '20260928.0'\n",
        f"{FILE}gvisor_relase: unknown key, got 20260928.0; use gvisor_release. Nothing was",
    ),
    "a-typo-in-the-name-of-a-file": in_group_data(
        "gvisor_release = '20260928.0'\n",
        "inventories/group_data/runs.py: no inventory beside this file has a group runs; ",
        "did you mean run.py? If not, rename the file, or add the group to an inventory. Nothing",
        name="runs.py",
    ),
    "a-colon-in-place-of-an-equals-sign": in_group_data(
        "gvisor_default: 'sandbox'\ngvisor_egress: {}\n",
        "inventories/group_data/run.py:1: gvisor_default: has a colon and no value, which sets ",
        "inventories/group_data/run.py:2: gvisor_egress: has a colon",
        "write gvisor_egress = …. Nothing was changed",
    ),
    "a-setting-in-the-inventory": Mistake(
        ("run-1", "inventories/run.py:1: gvisor_default: has no effect in this file; move it to"),
        f"gvisor_default = 'sandbox'\n{RUN_1}",
    ),
    "an-inventory-without-hosts": Mistake(
        ("inventories/run.py: it has no host; write your nodes into the list run",),
        (CHECKOUT / "inventories" / "run.py").read_text(),
    ),
    "coolifys-servers-without-its-url": Mistake(
        ("inventories/coolify.py: COOLIFY_URL is not set; set it to Coolify's URL",),
        (CHECKOUT / "inventories" / "coolify.py").read_text(),
    ),
    "a-release-as-a-number": Mistake(
        (
            "--data: gvisor_release: must be a string, because a number loses digits, ",
            "got 20240729.0; quote it",
        ),
        flags=("--data", "gvisor_release=20240729.0"),
    ),
    "a-host-that-is-not-reached": Mistake(
        (
            "Could not connect",
            "connect: ssh on 127.0.0.1: no connection; try ssh -p 1 -l debian 127.0.0.1, then",
        ),
        'run = [("127.0.0.1", {"ssh_port": 1, "ssh_user": "debian"})]\n',
    ),
    "a-broken-daemon-json": on_the_node(
        "/etc/docker/daemon.json on @fake/run-1: line 4 column 3: ",
        'got "icc": false; ',
        daemon_json=BROKEN,
    ),
}


@table("mistake", MISTAKES)
def test_a_mistake_is_told_with_where_it_is_what_was_got_and_what_to_do(
    mistake: Mistake, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.delenv("COOLIFY_URL", raising=False)
    shutil.copy(CHECKOUT / "config.py", tmp_path)
    data = tmp_path / "inventories" / "group_data"
    data.mkdir(parents=True)
    (data.parent / "run.py").write_text(mistake.inventory)
    for name, text in mistake.group_data.items():
        (data / name).write_text(text)

    arguments = ("inventories/run.py", CHECKOUT / "deploys" / "gvisor.py", "-y", *mistake.flags)
    ran = pyinfra(tmp_path, *arguments)

    assert ran.returncode == 1
    said = " ".join(ran.stderr.split())
    for piece in mistake.says:
        assert piece in said, ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A fleet as ``init`` writes it, with two hosts."""
    main(["init", "--directory", str(tmp_path / "fleet"), "run-1", "run-2"])
    monkeypatch.chdir(tmp_path / "fleet")
    return tmp_path / "fleet"


def check(*options: str) -> subprocess.CompletedProcess[str]:
    """How a check of the current directory ends, as a process of its own."""
    words = [sys.executable, "-P", "-m", "pyinfra_gvisor.command", "check", *options]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def add(fleet: Path, name: str, text: str) -> None:
    """Write at the end of a fleet's file, which may be new."""
    with (fleet / name).open("a", encoding="utf-8") as file:
        file.write(text)


def test_a_new_fleet_has_nothing_to_correct(fleet: Path) -> None:
    ran = check()

    assert ran.stdout == (
        "Summary: nothing to correct for 2 hosts in inventories/run.py. Next: pyinfra-gvisor plan\n"
    )
    assert "note: group_data/build.py: no host of this inventory is in group build" in ran.stderr
    assert ran.returncode == 0


ESCAPE = (
    "group_data/run.py",
    "gvisor_release = '20231009.0'\ngvisor_sha512 = {'x86_64': 'a' * 128}\n",
    "group_data/run.py: gvisor_release: release 20231009.0 has a known escape",
)
REFUSED = [
    ("group_data/run.py", "gvisor_egress: {}\n", "gvisor_egress: has a colon and no value"),
    ("group_data/run.py", "gvisor_proof = 'sometimes'\n", "group_data/run.py: gvisor_proof: "),
    ("group_data/runs.py", "x = 1\n", "did you mean run.py?"),
    (
        "deploys/gvisor.py",
        "gvisor_default = 'sandbox'\n",
        "deploys/gvisor.py:6: gvisor_default: has no effect in this file",
    ),
    ("inventories/run.py", "cooolify = ['run-2']\n", "did you mean coolify?"),
]


@table("refused", much_at_once=REFUSED, a_known_escape=[ESCAPE])
def test_what_a_run_refuses_fails_a_check(fleet: Path, refused: list[tuple[str, str, str]]) -> None:
    for name, text, _ in refused:
        add(fleet, name, text)

    ran = check()

    assert [said for *_, said in refused if ran.stderr.count(said) != 1] == []
    assert ran.stdout.endswith("to correct for 2 hosts in inventories/run.py. No node was asked.\n")
    assert ran.returncode == 1


@table(
    "name, text, said",
    syntax=("group_data/run.py", "x = (\n", "run.py:"),
    exception=("group_data/run.py", "1 / 0\n", "run.py: cannot be run: Zero"),
    no_host=("inventories/run.py", "run = canary = []\n", "has no host"),
)
def test_a_file_that_cannot_be_used_is_told(fleet: Path, name: str, text: str, said: str) -> None:
    add(fleet, name, text)

    ran = check()

    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 1


def test_an_inventory_that_is_not_there_is_told(fleet: Path) -> None:
    ran = check("--inventory", "inventories/rum.py")

    assert "inventories/rum.py does not exist in" in ran.stderr
    assert ran.returncode == 1
