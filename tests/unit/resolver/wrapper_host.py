"""A runtime's wrapper with `dns`, as containerd's shim calls it, and a runsc that tells."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyinfra_gvisor.parts.resolver.files import ADDRESS, ADDRESS6
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.unit.shells import replaced, stub

ID = "3f" * 32
RELEASE = "20260928.0"
NAMED = Runtime(network="sandbox", dns="docker")
FLAGS = ["--network=sandbox", "--overlay2=none"]
GLOBAL = ["--root", "/run/docker/runtime-runc/moby", "--log", "/b/log.json", "--log-format", "json"]
WAY_OUT = "eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
ROUTES = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
ON_LINK = "eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
PID = 4711
UMASK = 0o077
OURS = f"nameserver {ADDRESS}\nnameserver {ADDRESS6}\n"
OLD = "nameserver 127.0.0.11\noptions ndots:0\n"


class Shim:
    """A bundle of a container's, and what was started for it; ``code``: how runsc ends."""

    def __init__(self, root: Path, *, code: int = 0, bundle: str = "bundle") -> None:
        self.root = root
        self.bundle = root / bundle
        self.bundle.mkdir()
        self.dockers = root / "docker" / "containers" / ID / "resolv.conf"
        self.dockers.parent.mkdir(parents=True)
        self.path = root / "bin"
        self.path.mkdir()
        self.does("sed", f'exec {shutil.which("sed")} "$@"')
        self.does("logger")
        self.does("nsenter")
        stub(root, "runsc", _RUNSC.format(root=root, code=code, umask="$(umask)"))
        text = replaced(
            wrapper("gvisor", RELEASE, NAMED).text,
            {f"/opt/gvisor/releases/{RELEASE}/runsc": root / "runsc", "/proc/": f"{root}/proc/"},
        )
        self.wrapper = root / "wrapper"
        self.wrapper.write_text(text)

    def does(self, name: str, then: str = "") -> None:
        """A program that is written down and does this."""
        stub(self.path, name, f"printf '{name}<%s>\\n' \"$*\" >> {self.root}/started\n{then}")

    def config(self, *mounts: Mapping[str, Any], version: str = "1.1.0", **more: Any) -> str:
        """Have a config.json as Docker writes it, with these mounts."""
        document = {"ociVersion": version, **more, "mounts": [PROC, *mounts, HOSTS]}
        text = json.dumps(document, separators=(",", ":"))
        (self.bundle / "config.json").write_text(text)
        return text

    def resolv_conf(self, **more: Any) -> dict[str, Any]:
        """The mount that Docker makes for the container's resolv.conf."""
        mount = {"destination": "/etc/resolv.conf", "type": "bind", "source": str(self.dockers)}
        return {**mount, "options": ["rbind", "rprivate"], **more}

    def runs(self, *routes: str) -> None:
        """Have a process that ``init.pid`` names, with these routes; the node has a way out."""
        (self.bundle / "init.pid").write_text(str(PID))
        for whose, told in (("", (WAY_OUT,)), (str(PID), routes)):
            net = self.root / "proc" / whose / "net"
            net.mkdir(parents=True)
            (net / "route").write_text("".join((ROUTES, *told)))

    def call(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Start the wrapper with these arguments, in the bundle."""
        return subprocess.run(
            ["/bin/sh", self.wrapper, *words],
            check=False,
            capture_output=True,
            text=True,
            cwd=cwd or self.bundle,
            env={"PATH": str(self.path)},
            stdin=subprocess.DEVNULL,
            umask=UMASK,
            timeout=30,
        )

    def create(self) -> subprocess.CompletedProcess[str]:
        """As a shim creates a container."""
        words = ["--bundle", str(self.bundle), "--pid-file", f"{self.bundle}/init.pid"]
        return self.call(*GLOBAL, "create", *words, ID)

    def start(self) -> subprocess.CompletedProcess[str]:
        """As it starts one."""
        return self.call(*GLOBAL, "start", ID)

    def asked(self) -> list[str]:
        """The arguments that runsc was started with last, its flags left out."""
        words = (self.root / "arguments").read_text().split("\0")[:-1]
        assert words[: len(FLAGS)] == FLAGS
        return words[len(FLAGS) :]

    def started(self) -> list[str]:
        """The programs that were started beside runsc, with their arguments."""
        path = self.root / "started"
        return path.read_text().splitlines() if path.exists() else []

    def logged(self) -> str:
        """What was written into the node's journal."""
        path = self.root / "started"
        _, _, text = path.read_text().partition("logger<") if path.exists() else ("", "", "")
        return text.removesuffix(">\n")

    def mounted(self) -> str:
        """The source of resolv.conf in config.json when runsc was started."""
        mounts = json.loads((self.root / "seen" / "config.json").read_text())["mounts"]
        (found,) = (item for item in mounts if item["destination"] == "/etc/resolv.conf")
        return str(found["source"])

    def files(self) -> dict[str, str]:
        """The bundle's files when runsc was started, ``config.json`` and ``init.pid`` left out."""
        seen = self.root / "seen"
        left_out = ("config.json", "init.pid")
        return {item.name: item.read_text() for item in seen.iterdir() if item.name not in left_out}


def ended(ran: subprocess.CompletedProcess[str], code: int = 0) -> None:
    """Check that the wrapper said what runsc says, and nothing else."""
    said = (ran.returncode, ran.stdout, ran.stderr)
    assert said == (code, "to stdout\n", f"umask {UMASK:04o}\n")


PROC = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}
HOSTS = {"destination": "/etc/hosts", "type": "bind", "source": "/d/hosts", "options": ["rbind"]}
_RUNSC = f"""\
printf '%s\\0' "$@" > {{root}}/arguments
{shutil.which("rm")} -rf {{root}}/seen
{shutil.which("cp")} -r . {{root}}/seen
echo 'to stdout'; echo "umask {{umask}}" >&2
exit {{code}}"""
