"""The table of tested combinations for docs/compatibility.md, one row a record."""

from collections.abc import Iterator, Sequence

from pyinfra_gvisor.compatibility.record import Record, RuntimeSeen, Timings

HEAD = ("node", "Docker", "gVisor", "proof: checks by runtime", "duration", "machine", "date")
EMPTY = (
    "No record is kept yet. Run `deploys/gvisor.py` with `gvisor_report_dir`, then\n"
    "`python -m tools compatibility add <gvisor_report_dir>/compatibility/*.json`.\n"
)


def table(records: Sequence[Record]) -> str:
    """Return the records as a Markdown table; without records, how to add the first one."""
    if not records:
        return EMPTY
    head, *rows = (f"| {' | '.join(cells)} |\n" for cells in (HEAD, *map(_row, records)))
    return "".join((head, "|---" * len(HEAD), "|\n", *rows))


def _row(record: Record) -> tuple[str, ...]:
    return (
        "<br>".join(_node(record)),
        "<br>".join(_docker(record)),
        _runsc(record),
        "<br>".join((*map(_runtime, record.runtimes), *_around(record))),
        "<br>".join(_took(record.timings)),
        record.seen_by,
        record.date.isoformat(),
    )


def _node(record: Record) -> Iterator[str]:
    yield f"{record.distribution}, {record.arch}"
    yield f"Linux {record.kernel}"
    yield f"cgroup v{record.cgroup_version}"
    yield "dockerd started by hand" if record.init == "by hand" else record.init


def _docker(record: Record) -> Iterator[str]:
    yield _built(record.docker, record.docker_lab_build)
    yield f"store {record.image_store}"
    yield f"cgroup driver {record.cgroup_driver}"
    if record.firewall_backend:
        yield f"rules by {record.firewall_backend}"
    for name, version in (("containerd", record.containerd), ("runc", record.runc)):
        if version:
            # As code, because two "~" would strike out the text between. Commits have 40 digits.
            yield f"{name} `{version[:20]}`"


def _runsc(record: Record) -> str:
    if record.runsc_lab_build:
        return _built(record.runsc, record.runsc_lab_build)
    return f"{record.runsc} ({record.runsc_source})"


def _built(version: str, lab_build: str | None) -> str:
    """Name a lab build before its version, because it prints a release's version but is none."""
    return f"lab build of `{lab_build}`, calls itself {version}" if lab_build else version


def _runtime(runtime: RuntimeSeen) -> str:
    words = [
        *({"name": [], "nothing": ["by default"], "runc": ["asks for runc"]}[runtime.asked]),
        f"network {runtime.network}",
        *(["dns docker"] if runtime.dns else ()),
        *([runtime.platform] if runtime.platform else ()),
        f"overlay {runtime.overlay}",
        *(["hardening strict"] if runtime.hardening == "strict" else ()),
        *(f"`{flag}`" for flag in runtime.flags),
    ]
    counts = [f"{runtime.ok} ok"]
    counts += [f"{runtime.accepted} accepted"] if runtime.accepted else []
    counts += [f"{runtime.not_applicable} n/a", f"{runtime.failed} failed"]
    return f"{', '.join(words)}: {', '.join(counts)}"


def _around(record: Record) -> Iterator[str]:
    parts = {
        "firewall": record.firewall,
        "kernel surface": record.kernel_surface,
        "names": record.names,
    }
    if on := [name for name, is_on in parts.items() if is_on]:
        yield f"with {', '.join(on)}"


def _took(timings: Timings) -> Iterator[str]:
    if timings.proof_s is not None:
        yield f"proof {timings.proof_s:.1f} s"
    if timings.run_s is not None:
        hosts = "1 host" if timings.hosts == 1 else f"{timings.hosts} hosts"
        yield f"run {timings.run_s:.0f} s ({hosts}, {timings.changes} changes here)"
