"""The forwarder's metrics, in a textfile for Prometheus' node exporter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

PREFIX = "gvisor_resolver"
QUERIES = ("udp", "tcp")
OUTCOMES = ("docker", "upstream", "failed", "stranger", "malformed", "rate", "busy")


class Counters:
    """Counts of queries by protocol and by outcome; they only grow."""

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter(dict.fromkeys(QUERIES, 0))
        self.outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))

    def text(self, *, namespaces: int, waiting: int, sources: int) -> str:
        """Return the textfile: https://prometheus.io/docs/instrumenting/exposition_formats/"""
        return "".join(
            (
                _family("queries_total", "counter", "Queries received, by protocol."),
                *(_line("queries_total", n, protocol=name) for name, n in self.queries.items()),
                _family("outcomes_total", "counter", "Queries by who answered, or why nobody did."),
                *(_line("outcomes_total", n, outcome=name) for name, n in self.outcomes.items()),
                _family("namespaces", "gauge", "Network namespaces with an open socket."),
                _line("namespaces", namespaces),
                _family("waiting", "gauge", "Queries that wait for an answer."),
                _line("waiting", waiting),
                _family("sources", "gauge", "Container addresses that may send queries."),
                _line("sources", sources),
            )
        )


def write(path: Path, text: str) -> None:
    """Replace a file in one step, readable for all users. Raises ``OSError``."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o644)
    beside.replace(path)


def _family(name: str, kind: str, what: str) -> str:
    return f"# HELP {PREFIX}_{name} {what}\n# TYPE {PREFIX}_{name} {kind}\n"


def _line(name: str, value: int, **labels: str) -> str:
    inner = ",".join(f'{key}="{label}"' for key, label in labels.items())
    return f"{PREFIX}_{name}{f'{{{inner}}}' if inner else ''} {value}\n"
