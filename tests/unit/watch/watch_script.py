"""``parts/watch/watch.pl`` run against a Docker API of the test's own."""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra_gvisor.dispatch.preview import Preview
from pyinfra_gvisor.dispatch.programs import judge_program
from pyinfra_gvisor.parts.watch.files import METRICS, ByDefault, policy_text, script_text
from pyinfra_gvisor.policy.selectors import Exemption, Selector
from tests.unit.fake_docker import Answer, daemon, routes, says
from tests.unit.judge.resident import resident
from tests.unit.shells import replaced

ID = f"{1:064x}"  # of the first container that a test makes
INSPECT = f"/containers/{ID}/json"
STOP = f"/containers/{ID}/stop?t=10"
RUNSC = {"Runtime": "runsc"}
STOPPED = says("", "204 No Content")
REASON = "for a test of the policy"


@dataclass(frozen=True)
class Looked:
    """What one look said, how it ended, and what Docker was asked for."""

    code: int
    stdout: str
    stderr: str
    asked: Sequence[str]

    @property
    def errors(self) -> list[str]:
        """The lines of priority err."""
        return [line for line in self.stdout.splitlines() if line.startswith("<3>")]

    @property
    def named(self) -> list[str]:
        """The containers that are reported, by name."""
        return sorted(
            line.removeprefix("<3>").split(" (")[0] for line in self.errors if "must run" in line
        )


@dataclass(frozen=True)
class Watched:
    """A node with a policy, under a directory."""

    root: Path
    must: Sequence[Selector] = (Selector(name="*"),)
    exempt: Sequence[Exemption] = ()
    action: str = "report"
    metrics: bool = False
    changes: Mapping[str, str] | None = None
    default: Preview | None = None
    is_resident: bool = True  # the judge

    @property
    def textfile(self) -> Path:
        """Where the metrics go, if they go anywhere."""
        return self.root / METRICS

    @property
    def lock(self) -> Path:
        """What a proof holds; not there until one was made."""
        return self.root / "probe.lock"

    def look(
        self, documents: Iterable[Mapping[str, Any]], answers: Mapping[str, Answer] | None = None
    ) -> Looked:
        """One look at these containers; ``answers`` are Docker's to other questions, by path."""
        routed = {**routes(list(documents)), **(answers or {})}
        with daemon(self.root / "docker.sock", routed) as asked:
            return self.run(asked)

    def run(self, asked: Sequence[str] = ()) -> Looked:
        """One look at whatever answers on the socket."""
        policy, program = self.root / "policy", self.root / "watch.pl"
        textfile = str(self.textfile) if self.metrics else None
        judge = self.root / "judge-0"
        judge.write_text(judge_program())
        default = ByDefault(self.default.choosing, str(judge)) if self.default else None
        given = (self.must, self.exempt, self.action, textfile)
        policy.write_text(policy_text(*given, default=default))
        changes = {
            "/run/pyinfra-gvisor/probe.lock": str(self.lock),
            "/run/pyinfra-gvisor/judge.sock": str(self.root / "judge.sock"),
            "/run/docker.pid": str(self.root / "docker.pid"),
            "^/(?:usr|": "^/(?:tmp|usr|",  # a test's runsc lies there
            **(self.changes or {}),
        }
        program.write_text(replaced(script_text(), changes))
        is_asked = self.default is not None and self.is_resident
        with resident(self.root / "judge.sock", judge) if is_asked else nullcontext():
            ran = subprocess.run(
                ["perl", program, policy, self.root / "docker.sock"],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        (self.root / "docker.sock").unlink(missing_ok=True)
        return Looked(ran.returncode, ran.stdout, ran.stderr, list(asked))
