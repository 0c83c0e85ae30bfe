"""Records for tests: of a node as a test describes it, and made up whole."""

from collections.abc import Iterable, Mapping
from typing import Any

from pyinfra_gvisor.audit.judge import judge
from pyinfra_gvisor.audit.observed import parse_observed
from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.compatibility.record import Record, Timings
from pyinfra_gvisor.compatibility.seen import record_of
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.settings import Settings
from tests.arguments import Data
from tests.cases.proven import converged
from tests.unit.answers import answer, compact, in_base64, installed
from tests.unit.settings.loaded_settings import good

AT = "2026-11-27T10:00:00+00:00"
PROVEN_AT = "2026-11-26T23:30:00-02:00"  # in UTC it is the next day
TIMINGS = Timings(proof_s=None, run_s=51.2, hosts=1, changes=6)


def proven_lines(
    settings: Settings,
    *,
    lines: Iterable[str] = (),
    docker: Mapping[str, Any] | None = None,
    source: str = "Debian's package runsc",
    virtualization: str = "docker",
    proof: Mapping[str, Any] | None = None,
    **machine: Any,
) -> list[str]:
    """The answer to an audit of a node on which the proof of these settings holds."""
    given = {**converged(), "releases": [], **machine}
    given["docker"] = {**given["docker"], "Driver": "overlay2", **(docker or {})}
    told = [
        *([f"virtualization {virtualization}"] if virtualization else []),
        *installed(settings.release, source=source),
        *lines,
        *answer(**given),
    ]
    digest = fingerprint(
        parse_node(told), settings.release, settings.proven_runtimes, declared=settings
    )
    made = {
        "fingerprint": digest,
        "at": PROVEN_AT,
        "outcomes": {name: {"ok": 24, "n/a": 5} for name in settings.proven_runtimes},
        "took_s": 2.3,
        **(proof or {}),
    }
    return [f"state.proof {in_base64(compact(made))}", *told]


def recorded(settings: Data | None = None, *, name: str = "run-1", **node: Any) -> Record:
    """The record of the node that ``proven_lines`` describes."""
    found = good(**(settings or {}))
    host = Audited(parse_observed(proven_lines(found, **node)), found)
    return record_of(host, judge(name, host, at=AT, by="deploy"), timings=TIMINGS)


def record(**changes: Any) -> Record:
    """A record of a node that does not exist."""
    profile = {"network": "host", "dns": None, "platform": None, "overlay": "none"}
    runtime = {**profile, "ok": 24, "accepted": 0, "not_applicable": 5}
    known = {
        "date": "2026-11-26",
        "seen_by": "virtual machine",
        "distribution": "Debian 13",
        "kernel": "6.12.9+deb13-amd64",
        "arch": "x86_64",
        "cgroup_version": 2,
        "cgroup_driver": "systemd",
        "init": "systemd",
        "docker": "26.1.5+dfsg1",
        "image_store": "overlay2",
        "firewall_backend": None,
        "containerd": "1.7.24~ds1-6+b4",
        "runc": "1.1.15+ds1-2+b4",
        "runsc": "20260928.0",
        "runsc_source": "official",
        "runsc_lab_build": None,
        "runtimes": [runtime],
        "firewall": False,
        "kernel_surface": False,
        "names": False,
        "timings": {"proof_s": 2.3, "run_s": 51.2, "hosts": 1, "changes": 6},
    }
    # As from a file: a day is text there.
    return Record.model_validate_json(compact({**known, **changes}))
