"""A node's control groups and processes as files, for ``parts/watch/usage.pl``."""

from dataclasses import dataclass
from pathlib import Path

from tests.unit.watch.watch_script import ID, Watched

GIB = 2**30
V1 = {
    "cpuacct/cpuacct.usage": "12500000000\n",
    "cpu/cpu.stat": "nr_periods 9\nnr_throttled 3\nthrottled_time 1500000000\n",
    "memory/memory.usage_in_bytes": "50000000\n",
    "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 10000000\n",
    "memory/memory.limit_in_bytes": "67108864\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}
"""What version 1 shows, by controller and file."""
V2 = {
    "cpu.stat": "usage_usec 12500000\nuser_usec 9\nthrottled_usec 1500000\n",
    "memory.current": "50000000\n",
    "memory.stat": "anon 1\ninactive_file 10000000\n",
    "memory.max": "67108864\n",
    "memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
}
"""The same in version 2."""


@dataclass(frozen=True)
class Usage:
    """The files of a node below ``root``, with containers in control groups of one version."""

    root: Path
    version: int = 2

    def __post_init__(self) -> None:
        (self.root / "cgroup").mkdir()
        (self.root / "proc").mkdir()
        (self.root / "run/docker").mkdir(parents=True)

    @property
    def textfile(self) -> Path:
        """The metrics."""
        return self.watched().textfile

    def watched(self, **changes: str) -> Watched:
        """The watch on this node; ``changes`` are of its program, by what is there."""
        paths = {
            'my $cgroups = "/sys/fs/cgroup"': f'my $cgroups = "{self.root}/cgroup"',
            'my $proc = "/proc"': f'my $proc = "{self.root}/proc"',
            "(/(?:var/)?run/[": f"({self.root}/run/[",
            "$stat[4] != 0": "$stat[4] != $<",  # tests need not be root
            "my @command = ($runsc,": f'my @command = ("{self.root}/runsc",',
        }
        return Watched(self.root, metrics=True, changes={**paths, **changes})

    def runsc(self, text: str) -> None:
        """A runsc that is this shell script."""
        path = self.root / "runsc"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def container(self, pid: int, container: str = ID) -> None:
        """The control groups of a container and its first process."""
        kinds = ("cpu", "cpuacct", "memory") if self.version == 1 else ("",)
        name = (
            f"docker/{container}" if self.version == 1 else f"system.slice/docker-{container}.scope"
        )
        lines = [f"{place}:{kind}:/{name}/of-its-own" for place, kind in enumerate(kinds)]
        for path, text in (V1 if self.version == 1 else V2).items():
            kind, _, file = path.rpartition("/")
            self._file(f"cgroup/{kind}/{name}/{file}", text)
        self.process(pid, 20_000, "\n".join(lines))
        root = f"{self.root}/run/docker"
        self._file(f"proc/{pid}/cmdline", f"runsc-sandbox\0--root={root}\0boot\0{container}\0")

    def process(self, pid: int, pss_kib: int, groups: str) -> None:
        """A process in these control groups."""
        self._file(f"proc/{pid}/cgroup", f"9:name=systemd:/init.scope\n{groups}\n")
        self._file(f"proc/{pid}/smaps_rollup", f"55-ff ---p [rollup]\nPss:   {pss_kib} kB\n")

    def groups(self, pid: int) -> str:
        """The control groups of a process."""
        return (self.root / f"proc/{pid}/cgroup").read_text()

    def group_file(self, name: str) -> Path:
        """The one file of this name in a container's control groups."""
        (found,) = (self.root / "cgroup").rglob(name)
        return found

    def values(self) -> dict[str, str]:
        """The values of containers in the textfile, by metric without labels."""
        lines = self.textfile.read_text().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("gvisor_container_"))
        return {
            name.partition("{")[0].removeprefix("gvisor_container_"): value for name, value in pairs
        }

    def _file(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
