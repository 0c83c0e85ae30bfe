"""Records as files: written by a run, kept one a combination, and made into a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.compatibility.files import (
    DOCS,
    kept_records,
    read_record,
    row_name,
    write_record,
)
from pyinfra_gvisor.compatibility.page import MARK, PAGE, page_with
from pyinfra_gvisor.compatibility.record import Record
from pyinfra_gvisor.compatibility.table import EMPTY, HEAD, table
from tests.unit.commands import compatibility as main
from tests.unit.compatible import record

ROOT = DOCS.parent
NAME = (
    "debian-13_docker-26.1.5-dfsg1_overlay2_cgroup-v2-systemd_x86_64_runsc-20260928.0_"
    "virtual-machine.json"
)
MOBY = "github.com/moby/moby/v2@v2.0.0-beta.21"
GVISOR = "gvisor.dev/gvisor@v0.0.0-20260905035102-160fafc42237"
LAB = {"runsc": "20260905.0", "runsc_source": None, "runsc_lab_build": GVISOR}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A page without records."""
    directory = tmp_path / "docs"
    (directory / "compatibility").mkdir(parents=True)
    marks = f"before\n<!-- {MARK} -->\nold\n<!-- /{MARK} -->\nafter\n"
    (directory / PAGE).write_text(marks)
    return directory


def written(directory: Path, found: Record, host: str = "run-1") -> str:
    """The path of a record that a run wrote."""
    return str(write_record(directory, host, found))


def test_the_committed_table_is_what_the_records_give() -> None:
    page = (DOCS / PAGE).read_text()

    assert page == page_with(page), "run pyinfra-gvisor compatibility table"
    assert table(kept_records()) in page


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", (DOCS / PAGE).read_text())

    missing = [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()
    ]

    assert len(named) == 8
    assert missing == []


def test_a_record_that_a_run_wrote_is_named_after_the_host_and_read_back(tmp_path: Path) -> None:
    path = write_record(tmp_path, "@docker/x", record())

    assert path == tmp_path / "compatibility" / "%40docker%2Fx.json"
    assert read_record(path) == record()
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({}, NAME, id="plain"),
        pytest.param(
            {"image_store": "containerd: overlayfs"},
            NAME.replace("overlay2", "containerd-overlayfs"),
            id="store",
        ),
        pytest.param(
            {"cgroup_version": 1, "cgroup_driver": "cgroupfs"},
            NAME.replace("v2-systemd", "v1-cgroupfs"),
            id="cgroup",
        ),
        pytest.param(
            {"init": "by hand"}, NAME.replace("x86_64", "x86_64_by-hand"), id="started-by-hand"
        ),
        pytest.param(
            LAB, NAME.replace("20260928.0", "20260905.0-lab-build"), id="gvisor-lab-build"
        ),
        pytest.param(
            {"docker_lab_build": MOBY}, NAME.replace("dfsg1", "dfsg1-lab-build"), id="docker-too"
        ),
        pytest.param(
            {"seen_by": "server"}, NAME.replace("virtual-machine", "server"), id="seen-by"
        ),
    ],
)
def test_a_kept_record_is_named_after_its_combination(changes: dict[str, Any], name: str) -> None:
    assert row_name(record(**changes)) == name


def test_a_record_is_added_and_makes_a_row(
    docs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [main(["add", written(tmp_path, record())], docs=docs), main(["table"], docs=docs)]

    assert codes == [0, 0]
    assert [path.name for path in (docs / "compatibility").iterdir()] == [NAME]
    page = (docs / PAGE).read_text()
    assert page == f"before\n<!-- {MARK} -->\n{table([record()])}<!-- /{MARK} -->\nafter\n"
    assert NAME in capsys.readouterr().out


def test_a_later_record_of_the_same_combination_takes_the_place(docs: Path, tmp_path: Path) -> None:
    later = record(date="2026-11-27", kernel="6.12.10+deb13-amd64")

    main(["add", written(tmp_path, record())], docs=docs)
    code = main(["add", written(tmp_path, later)], docs=docs)

    assert code == 0
    assert kept_records(docs / "compatibility") == [later]


def test_a_lab_build_of_docker_is_stated_by_who_adds_the_record(docs: Path, tmp_path: Path) -> None:
    path = written(tmp_path, record())

    code = main(["add", "--docker-lab-build", MOBY, path], docs=docs)

    (kept,) = kept_records(docs / "compatibility")
    assert code == 0
    assert kept.docker_lab_build == MOBY
    assert f"lab build of `{MOBY}`, calls itself 26.1.5+dfsg1" in table([kept])


@pytest.mark.parametrize(
    ("texts", "arguments", "said"),
    [
        pytest.param(["{}"], [], "not a record: ", id="empty"),
        pytest.param(["[]"], [], "not a record: ", id="no-object"),
        pytest.param(["no json"], [], "not a record: ", id="no-json"),
        pytest.param([None], [], "cannot be read", id="no-file"),
        pytest.param(
            [record().model_dump_json().replace("overlay2", "/srv/acme")],
            [],
            "not a record: image_store",
            id="path-in-it",
        ),
        pytest.param(
            [record(date="2026-11-25").model_dump_json()], [], "but the kept one is of", id="older"
        ),
        pytest.param(
            [record(date="2026-11-27").model_dump_json()] * 2,
            [],
            "has the same combination",
            id="twice",
        ),
        pytest.param(
            [record(seen_by="server").model_dump_json(), "{}"], [], "not a record", id="one-is-bad"
        ),
        pytest.param(
            [record(date="2026-11-27").model_dump_json()],
            ["--docker-lab-build", "29.7.1"],
            "not a Go module",
            id="no-module",
        ),
    ],
)
def test_what_cannot_be_added_is_told_and_nothing_is_changed(
    docs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    texts: list[str | None],
    arguments: list[str],
    said: str,
) -> None:
    main(["add", written(tmp_path, record())], docs=docs)
    paths = [tmp_path / f"{number}.json" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        if text is not None:
            path.write_text(text)

    code = main(["add", *arguments, *map(str, paths)], docs=docs)

    assert code == 1
    assert said in capsys.readouterr().err
    assert kept_records(docs / "compatibility") == [record()]


def test_a_kept_record_under_another_name_is_told(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs / "compatibility" / "mine.json").write_text(record().model_dump_json())

    code = main(["table"], docs=docs)

    assert code == 1
    assert f"rename the file to {NAME}" in capsys.readouterr().err


def test_without_a_clone_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["add", written(tmp_path, record())], docs=tmp_path / "none")

    assert code == 1
    assert "run this in a clone" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_without_records_the_table_says_how_to_make_one() -> None:
    assert table([]) == EMPTY
    assert "pyinfra-gvisor compatibility add" in EMPTY


def test_a_row_says_what_was_seen_by_what_and_when() -> None:
    on: dict[str, Any] = {"firewall": True, "kernel_surface": True, "names": True}
    on["firewall_backend"] = "nftables"
    docker = ["26.1.5+dfsg1", "store overlay2", "cgroup driver systemd"]
    docker += ["rules by nftables", "containerd `1.7.24~ds1-6+b4`", "runc `1.1.15+ds1-2+b4`"]
    proof = ["network host, overlay none: 24 ok, 5 n/a, 0 failed"]
    proof += ["with firewall, kernel surface, names"]

    head, rule, row = table([record(**LAB, **on)]).splitlines()

    assert head == f"| {' | '.join(HEAD)} |"
    assert rule == "|---" * len(HEAD) + "|"
    assert row.split("|")[1:-1] == [
        " Debian 13, x86_64<br>Linux 6.12.9+deb13-amd64<br>cgroup v2<br>systemd ",
        f" {'<br>'.join(docker)} ",
        f" lab build of `{GVISOR}`, calls itself 20260905.0 ",
        f" {'<br>'.join(proof)} ",
        " proof 2.3 s<br>run 51 s (1 host, 6 changes here) ",
        " virtual machine ",
        " 2026-11-26 ",
    ]


@pytest.mark.parametrize(
    ("timings", "took"),
    [
        pytest.param({"proof_s": None, "run_s": None}, "", id="nothing-known"),
        pytest.param({"proof_s": 2.34, "run_s": None}, "proof 2.3 s", id="a-person-was-asked"),
    ],
)
def test_a_row_says_no_time_that_nobody_knows(timings: dict[str, Any], took: str) -> None:
    found = record(timings={**timings, "hosts": 1, "changes": 0})

    (*_, row) = table([found]).splitlines()

    assert row.split("|")[5].strip() == took
