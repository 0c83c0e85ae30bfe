"""What is said about mistakes by a run, by a dry run in the same words, and by a check."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.command.__main__ import main
from pyinfra_gvisor.deploys import checks
from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.deploys.coolify import run_control_host
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.run_support import messages, reports
from tests.arguments import Log, Patch
from tests.cases.cli import CHECKOUT, fake, inventory, pyinfra
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import proven_answer
from tests.table import table
from tests.unit.answers import answer
from tests.unit.coolify.coolify_answers import answer as coolify_answer
from tests.unit.coolify.coolify_answers import compose, container, patched, php

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
        "did you mean run.py? If not, write runs = [] in the inventory, or remove the file",
        name="runs.py",
    ),
    "a-colon-in-place-of-an-equals-sign": in_group_data(
        "gvisor_default: 'sandbox'\ngvisor_egress: {}\n",
        "inventories/group_data/run.py:1: gvisor_default: has a type but no value, so it sets ",
        "inventories/group_data/run.py:2: gvisor_egress: has a type",
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
UNSEEN = [
    (
        "group_data/run.py",
        "gvisor_waivers = {'docker-iccc': 'the default bridge is not used'}\n",
        "gvisor_waivers: no audit rule has this id, got docker-iccc; did you mean docker-icc",
    ),
    ("group_data/run.py", "gvisor_source = '/srv/none'\n", "no such file on the controller"),
]
REFUSED = [
    ("group_data/run.py", "gvisor_egress: {}\n", "gvisor_egress: has a type but no value"),
    ("group_data/run.py", "gvisor_proof = 'sometimes'\n", "group_data/run.py: gvisor_proof: "),
    ("group_data/runs.py", "x = 1\n", "did you mean run.py?"),
    (
        "deploys/gvisor.py",
        "gvisor_default = 'sandbox'\n",
        "deploys/gvisor.py:6: gvisor_default: has no effect in this file",
    ),
    ("inventories/run.py", "cooolify = ['run-2']\n", "did you mean coolify?"),
]
OUTWEIGHED = [
    ("inventories/run.py", "canary[:] = run[:1]\n", "define canary after it: canary = run[:1]"),
    ("group_data/run.py", "gvisor_keep_releases = 3\n", "for run is defined later"),
    (
        "group_data/canary.py",
        "gvisor_keep_releases = 4\n",
        "group_data/canary.py: gvisor_keep_releases: group_data/run.py outweighs it",
    ),
]


@table(
    "refused",
    much_at_once=REFUSED,
    a_known_escape=[ESCAPE],
    no_rule_and_no_archive=UNSEEN,
    a_group_that_does_not_count=OUTWEIGHED,
)
def test_what_a_run_refuses_fails_a_check(fleet: Path, refused: list[tuple[str, str, str]]) -> None:
    for name, text, _ in refused:
        add(fleet, name, text)

    ran = check()

    assert [said for *_, said in refused if ran.stderr.count(said) != 1] == []
    assert ran.stdout.endswith("to correct for 2 hosts in inventories/run.py. No node was asked.\n")
    assert ran.returncode == 1


@table(
    "name, text, said, options",
    syntax=("group_data/run.py", "x = (\n", "run.py:", []),
    exception=("group_data/run.py", "1 / 0\n", "run.py: cannot be run: Zero", []),
    no_host=("inventories/run.py", "run = canary = []\n", "has no host", []),
    no_inventory=(
        *("inventories/run.py", "", "inventories/rum.py does not exist in"),
        ["--inventory", "inventories/rum.py"],
    ),
)
def test_a_file_that_cannot_be_used_is_told(
    fleet: Path, name: str, text: str, said: str, options: list[str]
) -> None:
    add(fleet, name, text)

    ran = check(*options)

    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 1


ARCHIVE = b"no archive, but a file"
SUM = hashlib.sha512(ARCHIVE).hexdigest()
FLOW = "services: {coolify: {volumes: ['/a:/b']}}\n"
COOLIFY = coolify_answer(container(), *patched())
URL = {"coolify_url": "https://coolify.example.com"}


@dataclass(frozen=True)
class Refused:
    """Data and answer of a host, and what is said of it. ``HERE`` stands for a directory."""

    says: str
    data: Mapping[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=answer)
    deploy: Callable[..., Any] = run_node
    group: str = "run"


def of_coolify(says: str, told: list[str] = COOLIFY, **data: Any) -> Refused:
    """One of Coolify's control host."""
    return Refused(says, data, told, run_control_host, "coolify")


NO_DIRECTORY = (
    "gvisor_report_dir on @fake/a: HERE/gvisor.tar.bz2 on the controller is not a directory"
)
CASES = {
    "archive-missing": Refused(
        "gvisor_source on @fake/a: no such file on the controller, got HERE/no.tar.bz2; ",
        {"source": "HERE/no.tar.bz2"},
    ),
    "archive-of-another-sum": Refused(
        f"gvisor_source on @fake/a: sha512 of HERE/gvisor.tar.bz2 is {SUM}, expected {'a' * 128}; ",
        {"source": "HERE/gvisor.tar.bz2", "sha512": {"x86_64": "a" * 128}},
    ),
    "directory-without-it": Refused(
        "no such file on the controller, got HERE/", {"source": "HERE"}
    ),
    "reports-into-a-file": Refused(NO_DIRECTORY, {"report_dir": "HERE/gvisor.tar.bz2/reports"}),
    "reports-into-a-file-by-an-audit": Refused(
        NO_DIRECTORY, {"report_dir": "HERE/gvisor.tar.bz2"}, proven_answer(), audit_node
    ),
    "no-directory-for-metrics": Refused(
        "/nowhere ", {"textfile_dir": "/nowhere"}, answer(textfile_dir="no")
    ),
    "no-directory-for-metrics-of-an-audit": Refused(
        "/nowhere ", {"textfile_dir": "/nowhere"}, proven_answer(textfile_dir="no"), audit_node
    ),
    "image-of-the-proof-missing": Refused(
        "gvisor_proof_image on @fake/a: ", {"proof_image": "busybox"}, answer(proof_image="no")
    ),
    "nothing-to-download-with": Refused("curl", told=answer(tools="bzip2 apt-get")),
    "nothing-to-unpack-with": Refused("bzip2", told=answer(tools="curl")),
    "no-apt": Refused(
        "apt-get",
        {"source": "apt", "sha512": {"x86_64": {"runsc.deb": "a" * 128}}},
        answer(tools="curl"),
    ),
    "no-token": of_coolify("coolify.apps: https://coolify.example.com on @fake/a: ", **URL),
    "no-token-file": of_coolify("HERE/token", **URL, coolify_token_file="HERE/token"),  # noqa: S106 - a path
    "no-coolify": of_coolify(
        "coolify.runtime_option: coolify on @fake/a: no Coolify on this host: no container is "
        "named coolify",
        coolify_answer(),
    ),
    "another-function": of_coolify(
        "coolify.runtime_option: coolify on @fake/a: ",
        coolify_answer(container(), *php("damaged", "reason two returns", probe=None)),
    ),
    "compose-that-cannot-be-merged": of_coolify(
        "coolify.persistence: ", coolify_answer(container(), compose(FLOW), *php())
    ),
}


def put(value: Any, here: Path) -> Any:
    """``value`` with the directory in it."""
    if isinstance(value, dict):
        return {key: put(item, here) for key, item in value.items()}
    return value.replace("HERE", str(here)) if isinstance(value, str) else value


@table("case", CASES)
def test_a_dry_run_refuses_what_the_run_refuses_and_neither_does_anything(
    case: Refused, tmp_path_factory: pytest.TempPathFactory, caplog: Log, monkeypatch: Patch
) -> None:
    monkeypatch.delenv("COOLIFY_TOKEN", raising=False)
    here = tmp_path_factory.mktemp("x")  # short: messages cut what they quote
    (here / "gvisor.tar.bz2").write_bytes(ARCHIVE)
    said = {}
    for dry in (True, False):
        caplog.clear()
        data = {f"gvisor_{key}": put(value, here) for key, value in case.data.items()}
        node = Node([case.told], data=data)
        fleet = Fleet({"a": node}, prepare=dry, groups={case.group: {}})
        for module in (checks, reports, messages):  # as with --dry on pyinfra's command line
            monkeypatch.setattr(module, "ends_after_plan", lambda _state, dry=dry: dry)
        with suppress(PyinfraError):  # no host remains
            fleet.deploy(case.deploy)
            if not dry:
                fleet.run()
        errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
        said[dry] = [line for line in errors if put(case.says, here) in line]

        assert {host.name for host in fleet.state.failed_hosts} == {"@fake/a"}
        assert node.acted() == []

    assert len(said[True]) == 1, errors
    assert said[True] == said[False]


@table("flags", dry=["--dry"], real=["-y"])
def test_the_exit_code_says_so_whenever_it_is_found(flags: list[str], tmp_path: Path) -> None:
    data = {"gvisor_textfile_dir": "/nowhere"}
    bad = fake(proven_answer(textfile_dir="no"))
    hosts = {"bad": {**bad, **data}, "good": {**fake(proven_answer(textfile_dir="yes")), **data}}
    (tmp_path / "run.py").write_text(inventory(run=hosts))

    ran = pyinfra(tmp_path, "run.py", CHECKOUT / "deploys" / "audit.py", *flags)

    assert ran.returncode == 1
    assert "gvisor_textfile_dir on @fake/bad: /nowhere " in ran.stderr
    assert "gvisor_textfile_dir on @fake/good" not in ran.stderr
