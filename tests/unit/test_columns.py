"""Lines that are wider than the terminal."""

from __future__ import annotations

import os

import pytest

from pyinfra_gvisor.base import columns
from pyinfra_gvisor.base.columns import continued, left_of, shortened, terminal_columns

LONG = "docker.daemon_json: /etc/docker/daemon.json on run-1: dockerd does not start; run again"
URL = "https://storage.googleapis.com/gvisor/releases/release/20260928.0/x86_64/gvisor.tar.bz2"
RED, END = "\x1b[31m", "\x1b[0m"


@pytest.fixture(autouse=True)
def _no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("width", [pytest.param(width, id=str(width)) for width in (40, 80, 120)])
def test_a_line_is_broken_between_words_and_loses_none(width: int) -> None:
    lines = continued(f"    [run-1] {LONG}", width, indent=14)

    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == f"[run-1] {LONG}"
    assert all(line.startswith(" " * 14) for line in lines[1:])


def test_spaces_inside_a_line_stay_where_it_is_not_broken() -> None:
    assert continued("a   b   c dd", 9, indent=2) == ["a   b   c", "  dd"]


def test_colours_take_no_columns() -> None:
    line = f"{RED}one{END} two {RED}three{END}"

    assert continued(line, len("one two three")) == [line]
    assert continued(line, len("one two")) == [f"{RED}one{END} two", f"{RED}three{END}"]


def test_a_url_is_shortened_in_its_middle_only_where_a_whole_line_is_too_short() -> None:
    whole, short = continued(f"from {URL}", 90), continued(f"from {URL}", 60)

    assert whole == ["from", URL]
    assert short[0] == "from"
    assert (len(short[1]), short[1][:8], short[1][-14:]) == (60, "https://", "gvisor.tar.bz2")
    assert "…" in short[1]


def test_a_word_that_is_no_path_is_never_cut() -> None:
    word = "0123456789" * 10

    assert continued(f"sha512 {word}", 40) == ["sha512", word]
    assert shortened(word, 40) == word
    assert shortened(f"{RED}/a/b/c/d{END}", 4) == f"{RED}/a/b/c/d{END}"


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        pytest.param("80", 120, 80, id="COLUMNS-first"),
        pytest.param("", 120, 120, id="terminal"),
        pytest.param("", None, None, id="no-terminal"),
        pytest.param("90", None, 90, id="COLUMNS-without-terminal"),
        pytest.param("wide", 120, 120, id="no-number"),
        pytest.param("0", None, None, id="zero"),
        pytest.param("5", None, 24, id="nothing-fits"),
        pytest.param("", 0, None, id="terminal-of-no-size"),
    ],
)
def test_the_width_is_that_of_the_terminal_that_messages_go_to(
    given: str, found: int | None, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size(_file: int) -> os.terminal_size:
        if found is None:
            raise OSError
        return os.terminal_size((found, 24))

    monkeypatch.setenv("COLUMNS", given)
    monkeypatch.setattr(os, "get_terminal_size", size)

    assert terminal_columns() == expected


def test_without_a_terminal_what_is_laid_out_has_one_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "terminal_columns", lambda: None)

    assert left_of(4) == left_of(40) == 100


def test_on_a_terminal_the_host_s_name_takes_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert left_of(12) == 68
