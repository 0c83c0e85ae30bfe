"""A strict runtime is proven, and each of its flags closes what is open without it."""

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node.audits import sh
from tests.node.containers import remove_container, start_container
from tests.node.proving import prove, rows
from tests.node.running import CURRENT, Fleet
from tests.node.seeing import no_leftovers, processes
from tools.lab import LabNode

NAME = "docker-29"
BOTH = {"runsc": {}, "strict": {"hardening": "strict"}}
RUNTIMES = {**BOTH, "inner": {"network": "sandbox", "hardening": "strict"}}
# personality(2) with a value that Docker's filter does not know; perl-base has no other way to it.
ASK = "perl -e 'syscall(135, 0x40000) < 0 ? print $! + 0 : print \"asked\"'"
EPERM = "1"
RIGHTS = 0x1F  # CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: capabilities(7)


@pytest.fixture(scope="module")
def strict(
    proving: dict[str, LabNode], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabNode]:
    """A node with a runtime of each hardening, and a container under each."""
    node = proving[NAME]
    fleet = Fleet(proving, tmp_path_factory.mktemp("hardening"))
    wanted = {**CURRENT, "gvisor_runtimes": BOTH}
    assert fleet.run(NAME, data=wanted).code == 0
    for name in BOTH:
        start_container(node, f"in-{name}", f"--runtime={name}")
    yield node
    for name in BOTH:
        remove_container(node, f"in-{name}")
    assert fleet.run(NAME, data=CURRENT).code == 0


def test_strict_is_proven_with_each_network_and_the_table_names_what_it_changes(
    proving: dict[str, LabNode], fleet: Fleet
) -> None:
    outcome = prove(fleet, NAME, profiles=RUNTIMES)

    assert outcome.code == 0, outcome.text
    for name, given in RUNTIMES.items():
        table = rows(outcome, name)
        assert list(table) == [check.id for check in asked_of(Runtime.model_validate(given))]
        assert all(row.endswith(("  ok", "  n/a")) for row in table.values()), table
    assert rows(outcome, "strict")["seccomp"].split()[2:] == ["refused", "refused", "ok"]
    assert rows(outcome, "strict")["file-rights"].split()[2:] == ["none", "some", "ok"]
    assert {"seccomp", "file-rights"}.isdisjoint(rows(outcome, "runsc"))
    assert no_leftovers(proving[NAME]) == ""
    sh(proving[NAME], "rm -f /opt/gvisor/runtimes/strict-* /opt/gvisor/runtimes/inner-*")


def test_dockers_seccomp_filter_counts_inside_with_it_alone(strict: LabNode) -> None:
    said = {name: sh(strict, f"docker exec in-{name} {ASK}") for name in BOTH}

    assert said["strict"] == EPERM
    assert said["runsc"] != EPERM


def test_its_process_has_no_rights_over_files_and_holds_none_open(strict: LabNode) -> None:
    pids = processes(strict)
    rights = {
        name: int(sh(strict, f"sed -n 's/^CapEff:\\s*//p' /proc/{pids[f'in-{name}']}/status"), 16)
        for name in BOTH
    }
    directories = {
        name: sh(strict, f"find /proc/{pids[f'in-{name}']}/fd -lname '/root/etc' | wc -l").strip()
        for name in BOTH
    }

    assert rights["runsc"] & RIGHTS == RIGHTS
    assert rights["strict"] & RIGHTS == 0
    assert directories == {"runsc": "1", "strict": "0"}
