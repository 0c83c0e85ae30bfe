"""The reports' files: whole or as they were, and no two hosts in one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.report.files import write_fleet, write_host
from pyinfra_gvisor.report.names import file_name
from tests.unit.reports import every_state, fleet, host, unknown

FORMS = ["fleet.html", "fleet.json", "fleet.junit.xml", "fleet.sarif"]
HOSTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


def test_a_fleets_report_has_four_forms_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    directory = tmp_path / "made" / "for it"

    written = write_fleet(directory, every_state())

    assert sorted(path.name for path in written) == FORMS
    assert sorted(path.name for path in directory.iterdir()) == FORMS
    assert json.loads((directory / "fleet.json").read_text()) == every_state().to_json()


def test_a_hosts_report_is_its_document(tmp_path: Path) -> None:
    report = host("run-1")

    path = write_host(str(tmp_path), report)

    assert path == tmp_path / "hosts" / "run-1.json"
    assert json.loads(path.read_text()) == report.to_json()


def test_reports_can_be_read_by_all_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        paths = [write_host(tmp_path, host("run-1")), *write_fleet(tmp_path, fleet())]
    finally:
        os.umask(before)

    assert {oct(path.stat().st_mode & 0o7777) for path in paths} == {"0o644"}


def test_a_report_takes_the_place_of_the_last_one_by_a_rename(tmp_path: Path) -> None:
    path = write_host(tmp_path, host("run-1"))
    with path.open() as old:
        write_host(tmp_path, unknown("run-1"))

        assert json.loads(old.read())["state"] == "clean"

    assert json.loads(path.read_text())["state"] == "unknown"
    assert list(path.parent.iterdir()) == [path]


def test_reports_of_hosts_that_left_the_fleet_are_left_alone(tmp_path: Path) -> None:
    gone = write_host(tmp_path, host("gone"))

    write_host(tmp_path, host("run-1"))
    write_fleet(tmp_path, fleet(host("run-1")))

    assert gone.exists()


def test_a_directory_that_cannot_be_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    reason = r"/report/fleet\.json: the report cannot be written: .*; set gvisor_report_dir"

    with pytest.raises(Problem, match=reason):
        write_fleet(tmp_path / "report", fleet())


def test_a_rename_that_fails_leaves_the_old_report_and_nothing_beside_it(tmp_path: Path) -> None:
    in_the_way = tmp_path / "hosts" / "run-1.json" / "kept"
    in_the_way.mkdir(parents=True)

    with pytest.raises(Problem, match=r"run-1\.json: the report cannot be written"):
        write_host(tmp_path, host("run-1"))

    assert list((tmp_path / "hosts").iterdir()) == [in_the_way.parent]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("run-1.example.com", "run-1.example.com", id="plain"),
        pytest.param("@docker/x", "%40docker%2Fx", id="connector"),
        pytest.param("a/b", "a%2Fb", id="slash"),
        pytest.param("..", "%2E.", id="parent"),
        pytest.param(".hidden", "%2Ehidden", id="hidden"),
        pytest.param("a%2fb", "a%252fb", id="looks-like-ours"),
        pytest.param("Run", "%52un", id="upper-case"),
        pytest.param("käse\0\n", "k%C3%A4se%00%0A", id="bytes"),
    ],
)
def test_a_hosts_name_becomes_a_files_name(name: str, expected: str) -> None:
    assert file_name(name) == expected


@given(HOSTS)
def test_every_hosts_file_lies_in_the_directory_and_can_be_made(name: str) -> None:
    assert re.fullmatch(r"(?!\.)[a-z0-9._%A-F~-]{1,200}", file_name(name))


@given(HOSTS, HOSTS)
def test_no_two_hosts_share_a_file_even_where_case_is_not_told_apart(
    first: str, second: str
) -> None:
    assert (first == second) == (file_name(first).lower() == file_name(second).lower())


@pytest.mark.parametrize("other", ["x" * 299 + "y", "x" * 301, "X" * 300])
def test_very_long_names_that_begin_alike_do_not_share_a_file(other: str) -> None:
    assert file_name("x" * 300) != file_name(other)
    assert len(file_name(other)) < 200
