"""A node whose wrappers judge containers: Docker's files, bundles, and runtimes that tell."""

import fcntl
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pyinfra_gvisor.dispatch.policy import Dispatch, Infrastructure
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.calls import Call, answer_call
from pyinfra_gvisor.judge.journal import UNITS
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrappers
from tests.unit.dispatch.dispatch_files import write_container
from tests.unit.shells import stub, stubbed, toolbox

RELEASE = "20260928.0"
NUMBER = 7
ID = f"{NUMBER:064x}"
NAMESPACES = ("mount", "network", "uts", "pid", "ipc")
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
        door: str = "off",
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
        self.is_whole = False  # through the wrapper's shell, which takes far longer
        self.path = toolbox(root / "bin", "ln")
        self.runs("runc")
        self.runs("runsc")
        stub(self.path, "logger", f"printf '%s\\n' \"$*\" >> {root}/journal")
        policy = Dispatch("gvisor", tuple(Infrastructure(**entry) for entry in entries), door=door)
        declared = {"gvisor": Runtime(network="sandbox", seal=seal or Seal())}
        self.wrapper = {
            item.runtime: self._write(item.path, item.text)
            for item in wrappers(RELEASE, declared, policy)
        }
        runtimes = {name: {"path": str(path)} for name, path in self.wrapper.items()}
        (root / "daemon.json").write_text(json.dumps({"runtimes": runtimes}))

    @property
    def paths(self) -> NodePaths:
        """Where everything of the node is."""
        return NodePaths(
            run=str(self.root / "run"),
            runtimes=str(self.root / "runtimes"),
            daemon_json=str(self.root / "daemon.json"),
            releases=str(self.root / "releases"),
            processes=str(self.root / "proc"),
            units=(str(self.root / "units"), *UNITS[1:]),
            public=(str(self.root / "localtime"),),
            divert=str(self.root / "divert"),
        )

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
        text = text.replace('processes: str = "/proc"', f'processes: str = "{self.root}/proc"')
        at.write_text(stubbed(text))
        at.chmod(0o755)
        return at

    def permit(self, word: str) -> Path:
        """Write a permit for the container as a proof does that runs, and return its path."""
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

        What started is what the wrapper would start: the decision alone, unless ``is_whole``.
        """
        words = (command, "--bundle", str(self.bundle), ID)
        if self.is_whole:
            return self.told(self.call(*words, runtime=runtime))
        return self.decided(*words, runtime=runtime)

    def made(
        self,
        *mounts: Mapping[str, Any],
        spec: Mapping[str, Any] | None = None,
        runtime: str = "gvisor",
        **container: Any,
    ) -> str:
        """Write a container with these mounts in its specification, and create it."""
        self.container(**container)
        self.spec(*mounts, **(spec or {}))
        return self.create(runtime)

    def decided(self, *words: str, runtime: str = "gvisor") -> str:
        """Return the same by the judge alone, in this process."""
        wrapper, log = str(self.wrapper[runtime]), str(self.log)
        call = Call(wrapper, words[0], log, str(self.state), str(self.bundle), words)
        with patch.dict(os.environ, {"PATH": str(self.path)}):
            code, said = answer_call(call, self.paths)
        if code == 0:
            return "runsc" if said == "sandbox" else said
        assert json.loads(self.log.read_text(encoding="utf-8").splitlines()[-1])["msg"] == said
        return said.replace("pyinfra-gvisor: ", "refused: ")

    def text(self) -> str:
        """Return the specification as it is."""
        return (self.bundle / "config.json").read_text(errors="surrogateescape")

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
TODO = ". Recreate the container without these options, or allow them in gvisor_seal"
