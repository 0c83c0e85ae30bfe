"""What a run would refuse, a dry run refuses: with the same words, and before any change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

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
