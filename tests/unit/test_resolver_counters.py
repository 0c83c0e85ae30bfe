"""The counters' text, as node exporter's textfile collector takes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyinfra_gvisor.parts.resolver.forwarder.counters import OUTCOMES, QUERIES, Counters, write

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="[a-z]*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\d+)")
COMMENT = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")


def read(text: str) -> tuple[dict[str, str], dict[tuple[str, str], int]]:
    """Kinds by name, and values by name and labels; each family in one piece, with its kind."""
    kinds: dict[str, str] = {}
    values: dict[tuple[str, str], int] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        comment, sample = COMMENT.fullmatch(line), SAMPLE.fullmatch(line)
        if comment is not None:
            kind, name, what = comment.groups()
            assert (name in kinds) is False
            if kind == "TYPE":
                kinds[name] = what
            continue
        assert sample is not None, line
        name, labels, value = sample.groups()
        assert name == [*kinds][-1]
        assert (name, labels or "") not in values
        values[name, labels or ""] = int(value)
    return kinds, values


def test_the_text_is_in_prometheus_format_and_says_all() -> None:
    counters = Counters()
    counters.queries["udp"] += 3
    counters.outcomes["docker"] += 2
    counters.outcomes["rate"] += 1

    kinds, values = read(counters.text(namespaces=4, waiting=5, sources=6))

    start = "gvisor_resolver"
    assert kinds == {
        f"{start}_queries_total": "counter",
        f"{start}_outcomes_total": "counter",
        f"{start}_namespaces": "gauge",
        f"{start}_waiting": "gauge",
        f"{start}_sources": "gauge",
    }
    assert values == {
        (f"{start}_queries_total", 'protocol="udp"'): 3,
        (f"{start}_queries_total", 'protocol="tcp"'): 0,
        **{(f"{start}_outcomes_total", f'outcome="{name}"'): 0 for name in OUTCOMES},
        (f"{start}_outcomes_total", 'outcome="docker"'): 2,
        (f"{start}_outcomes_total", 'outcome="rate"'): 1,
        (f"{start}_namespaces", ""): 4,
        (f"{start}_waiting", ""): 5,
        (f"{start}_sources", ""): 6,
    }
    assert QUERIES == ("udp", "tcp")


def test_every_counter_is_there_from_the_start() -> None:
    _, values = read(Counters().text(namespaces=0, waiting=0, sources=0))

    assert set(values.values()) == {0}
    assert len(values) == len(QUERIES) + len(OUTCOMES) + 3


def test_a_file_is_put_there_for_everybody_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    path.write_text("old")
    path.chmod(0o600)
    before = path.open()

    write(path, "new\n")

    with before:
        assert before.read() == "old"  # who reads it meanwhile reads all of it
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_that_cannot_be_put_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    path.write_text("old")
    (tmp_path / ".a.prom.new").mkdir()

    with pytest.raises(OSError, match=r"\.a\.prom\.new"):
        write(path, "new\n")

    assert path.read_text() == "old"
