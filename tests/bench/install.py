"""
Compare the installation of a release with ``curl | sha512sum | tar`` on the same node.

``python -m tests.bench.install`` prints medians of interleaved rounds and their ratio. The archive
has the size and the runsc of a release of 2026. The node downloads it from this machine by SSH.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.node import new_nodes
from tests.bench.report import spread, verdict
from tests.bench.results import Row
from tests.node.archives import (
    ArchiveServer,
    current_archive,
    release_members,
    sha512,
    write_archive,
)
from tests.node.releases import Place
from tests.node.running import Fleet
from tools.lab import FLAVOURS, LabNode, NodeSpec

RELEASE = "20260928.0"
FILLER_BYTES = 450_000_000  # makes an archive of about 165 MB
GOAL = 1.3

_PLAIN = """
set -eu -o pipefail
rm -rf /opt/plain && mkdir -p /opt/plain
curl -fsS "$1" | tee >(sha512sum > /opt/plain.sum) | tar -xj -C /opt/plain
sync -f /opt/plain
"""


def main() -> int:
    """Measure and print; return 0 if the goal is reached, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.install", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds")
    runs = parser.parse_args().runs
    with (
        new_nodes("install", NodeSpec(FLAVOURS["debian-13"], lived_in=True)) as (node,),
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
    ):
        return _measure(node.lab_node, Path(directory), runs)


def _measure(node: LabNode, directory: Path, runs: int) -> int:
    took_s = Row("installation, s", {"plain": [], "ours": []})
    archive = _archive(directory)
    with ArchiveServer(current_archive(), [node]) as server:
        server.put(RELEASE, archive.read_bytes())
        url = server.source.format(release=RELEASE, arch="x86_64")
        place = Place(Fleet({"node": node}, directory), "node", RELEASE)
        data = {"gvisor_source": server.source, "gvisor_sha512": {"x86_64": sha512(archive)}}
        for _ in range(runs):
            took_s.by_kind["plain"].append(
                _timed(lambda: node.exec("bash", "-c", _PLAIN, "bash", url).code)
            )
            place.remove()
            took_s.by_kind["ours"].append(_timed(lambda: place.install(**data).code))
    ratio = took_s.times("ours", "plain")
    load = os.getloadavg()[0]
    print(f"{archive.stat().st_size / 1e6:.0f} MB, medians of {runs} rounds, load {load:.1f} after")
    for name, numbers in took_s.by_kind.items():
        print(f"{name}, s: {spread(numbers)}")
    print(f"ours / plain: {ratio:.2f}, goal at most {GOAL}, {verdict(ratio <= GOAL)}")
    return 0 if ratio <= GOAL else 1


def _timed(job: Callable[[], int]) -> float:
    began_s = time.perf_counter()
    if job() != 0:
        raise SystemExit("a run failed, so nothing was measured")
    return time.perf_counter() - began_s


def _archive(directory: Path) -> Path:
    """Write an archive as large as a real one; its filler compresses like programs."""
    members = release_members(current_archive(), RELEASE)
    filler = bytearray()
    for path in sorted(Path("/usr/lib").rglob("*.so*")):
        if len(filler) < FILLER_BYTES and path.is_file() and not path.is_symlink():
            filler += path.read_bytes()
    members["gvisor-bin/filler"] = bytes(filler)
    return write_archive(directory / "large.tar.bz2", members)


if __name__ == "__main__":
    sys.exit(main())
