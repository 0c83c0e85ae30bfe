"""A node whose wrappers judge containers: Docker's files, bundles, and runtimes that tell."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyinfra_gvisor.dispatch.policy import Dispatch, Infrastructure
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.creation import Rules, decide_creation
from pyinfra_gvisor.judge.docker_files import Undecided
from pyinfra_gvisor.judge.journal import UNITS
from pyinfra_gvisor.judge.seal import without
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrappers
from tests.unit.dispatch.dispatch_files import write_container
from tests.unit.shells import stub, stubbed, toolbox

RELEASE = "20260928.0"
NUMBER = 7
ID = f"{NUMBER:064x}"
NAMESPACES = ("mount", "network", "uts", "pid", "ipc")
_OCTAL = re.compile(r"\\([0-7]{3})")
_TELLS = "printf '%s' {name} >> {root}/started; printf ' <%s>' \"$@\" >> {root}/started; {then}"


class Judged:
    """
    A node with the wrappers of one sealed runtime and of the default runtime.

    + seal: the seal; entries: those of the policy; data: Docker's data root, below ``root``
    """

    def __init__(
        self,
        root: Path,
        seal: Seal | None = None,
        *entries: Mapping[str, Any],
        data: str = "docker",
    ) -> None:
        self.root = root
        self.data = root / data
        self.bundle = root / "bundle"
        self.log = self.bundle / "log.json"
        self.state = root / "state"
        self.marks = root / "run" / "runtimes"
        self.mounts = root / "run" / "mounts"
        self.permits = root / "run" / "permits"
        self.rootfs = self.data / "overlay2" / "x" / "merged"
        for path in (self.rootfs, self.bundle, self.state, root / "runtimes"):
            path.mkdir(parents=True)
        self.environment: dict[str, str] = {}
        self.is_compared = True  # with the decision in Python
        self.path = toolbox(root / "bin", "ln")
        self.runs("runc")
        self.runs("runsc")
        stub(self.path, "logger", f"printf '%s\\n' \"$*\" >> {root}/journal")
        policy = Dispatch("gvisor", tuple(Infrastructure(**entry) for entry in entries))
        seal = seal or Seal()
        self.rules = {
            "gvisor": Rules(None, seal.to_perl(), policy.to_perl()),
            "gvisordefault": Rules(policy.to_perl(), seal.to_perl()),
        }
        declared = {"gvisor": Runtime(network="sandbox", seal=seal)}
        self.wrapper = {
            item.runtime: self._write(item.path, item.text)
            for item in wrappers(RELEASE, declared, policy)
        }
        runtimes = {name: {"path": str(path)} for name, path in self.wrapper.items()}
        (root / "daemon.json").write_text(json.dumps({"runtimes": runtimes}))

    def runs(self, name: str, then: str = "") -> None:
        """Have a runtime of this name that says that it was started, and then does this."""
        directory = self.path if name == "runc" else self.root / "releases" / RELEASE
        directory.mkdir(parents=True, exist_ok=True)
        stub(directory, name, _TELLS.format(name=name, root=self.root, then=then))

    def _write(self, path: str, text: str) -> Path:
        at = self.root / "runtimes" / path.rpartition("/")[2]
        for old, new in (
            ("/opt/gvisor/runtimes", "runtimes"),
            ("/opt/gvisor/releases", "releases"),
            ("/run/pyinfra-gvisor", "run"),
            ("/etc/docker/daemon.json", "daemon.json"),
            ("/etc/systemd/system", "units"),
            ("/etc/localtime", "localtime"),
        ):
            text = text.replace(old, f"{self.root}/{new}")
        text = text.replace('"/proc/$pid/', f'"{self.root}/proc/$pid/')
        at.write_text(stubbed(text))
        at.chmod(0o755)
        return at

    def permit(self, word: str) -> Path:
        """Write a permit for the container as a proof does that runs, and return its path."""
        self.is_compared = False
        self.permits.mkdir(parents=True, exist_ok=True)
        for directory in (self.permits.parent, self.permits):
            directory.chmod(0o700)
        self.proof = (self.permits.parent / "probe.lock").open("w")
        fcntl.flock(self.proof, fcntl.LOCK_EX)
        path = self.permits / ID
        path.write_text(word)
        path.chmod(0o600)
        return path

    def container(self, **what: Any) -> str:
        """Write Docker's files about a container; see ``write_container``."""
        return write_container(self.data, NUMBER, **what)

    def spec(
        self,
        *mounts: Mapping[str, Any],
        namespaces: Sequence[Mapping[str, str]] | None = None,
        linux: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """Write the ``config.json`` of the bundle, and return its text."""
        own = [{"type": kind} for kind in NAMESPACES]
        document = {
            "ociVersion": "1.2.1",
            "process": {"args": ["sleep", "1000"]},
            "root": {"path": str(self.rootfs)},
            "mounts": [PROC, *mounts, *(self.dockers(name) for name in ("resolv.conf", "hosts"))],
            **more,
            "linux": {"namespaces": namespaces if namespaces is not None else own, **(linux or {})},
        }
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        (self.bundle / "config.json").write_text(text)
        return text

    def dockers(self, name: str, identity: str = ID) -> dict[str, Any]:
        """A mount of a file that Docker makes for a container."""
        return bound(f"{self.data}/containers/{identity}/{name}", f"/etc/{name}")

    def call(self, *words: str, runtime: str = "gvisor") -> subprocess.CompletedProcess[str]:
        """Call a runtime as containerd's shim does."""
        given = ("--root", str(self.state), "--log", str(self.log), "--log-format", "json", *words)
        return subprocess.run(
            [self.wrapper[runtime], *given],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=self.bundle,
            env={"PATH": str(self.path), **self.environment},
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    def create(self, runtime: str = "gvisor", command: str = "create") -> str:
        """
        Create the container, and return what started or, after a colon, what was refused.

        Without a permit the rules in Python decide the same, write the same specification and note
        the same mounts.
        """
        is_compared = self.is_compared and command == "create"
        expected = self.decided(runtime) if is_compared else None
        ran = self.call(command, "--bundle", str(self.bundle), ID, runtime=runtime)
        said = self.told(ran)
        if expected:
            noted = self.mounts / ID
            lines = noted.read_text().splitlines() if noted.exists() else []
            addresses = [_OCTAL.sub(lambda found: chr(int(found[1], 8)), line) for line in lines]
            assert (said, self.text(), addresses) == expected
        return said

    def text(self) -> str:
        """Return the specification as it is."""
        return (self.bundle / "config.json").read_text(errors="surrogateescape")

    def decided(self, runtime: str) -> tuple[str, str, list[str]]:
        """Return the decision in Python, the specification after it, and the mounts to check."""
        paths = NodePaths(
            daemon_json=str(self.root / "daemon.json"),
            releases=str(self.root / "releases"),
            processes=str(self.root / "proc"),
            units=(str(self.root / "units"), *UNITS[1:]),
            public=(str(self.root / "localtime"),),
        )
        text = self.text()
        try:
            found = decide_creation(str(self.bundle), ID, self.rules[runtime], paths)
        except Undecided as error:
            return f"refused: {error}", text, []
        if not (found.container and found.violations):
            return "runc" if found.where == "runc" else "runsc", text, []
        if kinds := dict(found.violations.stripped):
            left = without(json.loads(text), kinds, found.container)
            text = json.dumps(left, separators=(",", ":"), ensure_ascii=False)
        return "runsc", text, [*found.violations.addresses]

    def told(self, ran: subprocess.CompletedProcess[str]) -> str:
        """Return the runtime that was started, or what Docker shows, without our name."""
        if ran.returncode == 0:
            return (self.root / "started").read_text().split()[0]
        line = json.loads(self.log.read_text(encoding="utf-8").splitlines()[-1])
        assert line["level"] == "error"
        assert not (self.root / "started").exists()
        return str(line["msg"]).replace("pyinfra-gvisor: ", "refused: ")

    def volume(self, name: str, **options: str) -> dict[str, Any]:
        """Make a volume of driver local, and return its mount point."""
        (self.data / "volumes" / name / "_data").mkdir(parents=True)
        if options:
            (self.data / "volumes" / name / "opts.json").write_text(json.dumps(options))
        source = f"{self.data}/volumes/{name}/_data"
        return {"Type": "volume", "Name": name, "Driver": "local", "Source": source, "RW": True}


def bound(source: str | Path, destination: str) -> dict[str, Any]:
    """A bind mount in ``config.json``."""
    options = ["rbind", "rprivate"]
    return {"destination": destination, "type": "bind", "source": str(source), "options": options}


PROC = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}
NOT_ALLOWED = "refused: a sandbox may not have: "
TODO = ". Recreate the container without, or allow it in gvisor_seal"
