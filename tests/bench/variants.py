"""The measured commands, on a node where nothing is left to do."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.ansible_core import write_inventory
from tests.bench.node import BenchNode
from tests.bench.outputs import audited, changed_0, every_host_ready, proven, unchanged
from tests.bench.results import AUDIT, FLOOR, OURS, PIPELINING, PROOF

ROOT = Path(__file__).parents[2]
BENCH = Path(__file__).parent
GROUP_DATA = ROOT / "inventories/group_data"

# Equal to Ansible's forks in ansible/ansible.cfg; with more hosts it would work in batches.
PARALLEL = 50
ROWS = ("--data", "gvisor_proof_rows=True")  # each check of a proof is shown


@dataclass(frozen=True)
class Variant:
    """
    One measured command.

    ``command`` and ``environment``: for a number of hosts. ``check`` raises ``BenchError`` unless
    the output shows the whole job on all hosts and nothing else. ``times``: runs in a round; short
    commands need more runs.
    """

    name: str
    command: Callable[[int], list[str | Path]]
    environment: Callable[[int], Mapping[str, str]]
    check: Callable[[str, int], None]
    hosts_max: int = PARALLEL
    times: int = 1


@dataclass(frozen=True)
class Workshop:
    """What the commands need: the node, Ansible's programs, a working directory."""

    node: BenchNode
    ansible: Path
    work: Path

    @property
    def ours(self) -> Variant:
        """Return the command in this project's documentation."""
        command = self._pyinfra("deploys/gvisor.py")
        return Variant(OURS, command, self._names, unchanged, times=3)

    def variants(self) -> list[Variant]:
        """Return all variants, ours first."""
        floor = self._pyinfra("tests/bench/floor.py")
        audit = self._pyinfra("deploys/audit.py")
        proof = self._pyinfra("deploys/gvisor.py", "--data", "gvisor_proof=always", *ROWS)
        return [
            self.ours,
            Variant(FLOOR, floor, self._names, every_host_ready, times=3),
            Variant(AUDIT, audit, self._names, audited, times=3),
            Variant(PIPELINING, self._playbook, self._ansible, changed_0),
            # One host only: all names lead to one node, and its proofs would wait for each other.
            # Last: afterwards dockerd still cleans up, which would slow down other variants.
            Variant(PROOF, proof, self._names, proven, hosts_max=1),
        ]

    def _pyinfra(self, deploy: str, *more: str) -> Callable[[int], list[str | Path]]:
        pyinfra = Path(sys.executable).parent / "pyinfra"
        options = ("-y", "--parallel", str(PARALLEL), "--group-data", GROUP_DATA)
        return lambda _hosts: [pyinfra, *options, "tests/bench/lab.py", deploy, *more]

    def _names(self, hosts: int) -> dict[str, str]:
        return {"GVISOR_BENCH_HOSTS": str(hosts), "GVISOR_BENCH_NODE": self.node.host_data()}

    def _playbook(self, hosts: int) -> list[str | Path]:
        inventory = self.work / f"{hosts}.json"
        if not inventory.exists():
            lab = GROUP_DATA / "lab.py"
            write_inventory(inventory, self.node.lab_node, hosts, group_data=lab)
        return [self.ansible / "ansible-playbook", "-i", inventory, BENCH / "ansible/gvisor.yml"]

    def _ansible(self, _hosts: int) -> dict[str, str]:
        return {
            "ANSIBLE_CONFIG": str(BENCH / "ansible/ansible.cfg"),
            "ANSIBLE_HOME": str(self.work / "ansible"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.work / "cp"),  # not below ANSIBLE_HOME
        }
