"""What is said about the commonest mistakes: where, which key, what was got, what to do."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
