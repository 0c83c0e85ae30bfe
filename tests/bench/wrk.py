"""The command line of wrk, the HTTP client, and its results."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.bench.measure import BenchError

TIMEOUT_S = 30

SCRIPT_PATH = "/opt/bench/wrk.lua"
SCRIPT = b"""\
function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
    local said = '{"answers": %d, "bytes": %d, "failed": %d, "took_us": %d, '
        .. '"median_us": %d, "p99_us": %d}\\n'
    io.write(said:format(
        summary.requests, summary.bytes, failed, summary.duration,
        latency:percentile(50), latency:percentile(99)))
end
"""
"""Has no function that wrk would call for each request: that would be slower."""


@dataclass(frozen=True)
class Answers:
    """Results of a trial. ``size_bytes``: received bytes of all answers, headers included."""

    number: int
    size_bytes: int
    took_s: float
    median_ms: float
    p99_ms: float


def command(url: str, *options: str, duration_s: int) -> tuple[str, ...]:
    """Return the command; one thread is enough for a client on two cores."""
    wrk = ("wrk", "--threads=1", f"--duration={duration_s}s", f"--script={SCRIPT_PATH}")
    return ("timeout", str(TIMEOUT_S), *wrk, *options, url)


def answers(output: str) -> Answers:
    """Parse the output of ``SCRIPT``. Raise ``BenchError`` after errors or without answers."""
    last = output.strip().rpartition("\n")[2]
    try:
        said: dict[str, int] = json.loads(last)
    except ValueError as error:
        what = "expected the line of our script at the end of wrk's output"
        raise BenchError(f"{what}:\n{output}") from error
    if said["failed"] or not said["answers"]:
        raise BenchError(f"wrk got errors or no answer:\n{output}")
    return Answers(
        number=said["answers"],
        size_bytes=said["bytes"],
        took_s=said["took_us"] / 1e6,
        median_ms=said["median_us"] / 1e3,
        p99_ms=said["p99_us"] / 1e3,
    )
