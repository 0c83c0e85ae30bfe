"""``usage.pl``: what containers use, and that nothing of it changes the watch's verdict."""

import os
from pathlib import Path

from tests.table import table
from tests.unit.fake_docker import container
from tests.unit.watch.usage_files import GIB, Usage
from tests.unit.watch.watch_script import ID, RUNSC

APP = "coolify.resourceName"
FINE = "<6>1 containers checked: 1 must run in gVisor and do; 0 are exempt\n"
USED = {
    "cpu_seconds_total": "12.500000",
    "memory_bytes": "40000000",
    "memory_limit_bytes": "67108864",
    "throttled_seconds_total": "1.500000",
    "oom_kills_total": "2",
    "restarts_total": "3",
    "pss_bytes": "20480000",
}
COUNTED = {
    "unimplemented_syscalls_total": "9",
    "unimplemented_syscall": "448",
    "suspicious_operations_total": "0",
    "weirdness_total": "5",
}
EXPORTED = """# Command-line export for sandbox x
# TYPE runsc_unimplemented_syscalls counter
runsc_unimplemented_syscalls{iteration="1",sandbox="x",sysno="334"} 700 1796279833500
runsc_unimplemented_syscalls{iteration="1",sandbox="x",sysno="448"} 6 1796279833500
runsc_unimplemented_syscalls{iteration="1",sandbox="x",sysno="323"} 3 1796279833500
runsc_weirdness{weirdness_type="time_fallback"} 1
runsc_weirdness{weirdness_type="vsyscall_count"} 4
# End of metric data.
"""
EXPORTS = f"cat <<'END'\n{EXPORTED}END\necho 'Wrote 648 bytes' >&2"
INCOMPLETE = "its answer is incomplete"
REFUSED = "FetchSpec failed: loading container: file does not exist"

in_both_versions = table("version", v1=1, v2=2)


def documents(pid: int, **labels: str) -> list[dict[str, object]]:
    """A sandbox that was restarted three times."""
    return [container(1, pid, host=RUNSC, labels=labels, others={"RestartCount": 3})]


@in_both_versions
def test_what_a_container_uses_is_in_the_metrics(
    tmp_path: Path, sandbox: int, version: int
) -> None:
    usage = Usage(tmp_path, version)
    usage.container(sandbox)
    usage.runsc(EXPORTS)

    looked = usage.watched().look(documents(sandbox))

    assert (looked.code, looked.stdout, looked.stderr) == (0, FINE, "")
    assert usage.values() == {**USED, **COUNTED}


@table(
    "version, file, metric",
    v1_time=(1, "cpuacct.usage", "cpu_seconds_total"),
    v1_throttled=(1, "cpu.stat", "throttled_seconds_total"),
    v1_memory=(1, "memory.usage_in_bytes", "memory_bytes"),
    v1_cache=(1, "memory.stat", "memory_bytes"),
    v1_limit=(1, "memory.limit_in_bytes", "memory_limit_bytes"),
    v1_kills=(1, "memory.oom_control", "oom_kills_total"),
    v2_memory=(2, "memory.current", "memory_bytes"),
    v2_cache=(2, "memory.stat", "memory_bytes"),
    v2_limit=(2, "memory.max", "memory_limit_bytes"),
    v2_kills=(2, "memory.events", "oom_kills_total"),
)
def test_a_file_that_is_missing_leaves_out_its_metric_alone(
    tmp_path: Path, sandbox: int, version: int, file: str, metric: str
) -> None:
    usage = Usage(tmp_path, version)
    usage.container(sandbox)
    usage.runsc(EXPORTS)
    usage.group_file(file).unlink()

    looked = usage.watched().look(documents(sandbox))

    assert (looked.code, looked.stdout) == (0, FINE)
    assert {metric, *usage.values()} == {*USED, *COUNTED}
    assert metric not in usage.values()


@in_both_versions
@table("text", empty="", words="max\n", a_negative_number="-1\n", nested="x oom_kill 1\n")
def test_files_with_anything_else_leave_out_all_they_are_for(
    tmp_path: Path, sandbox: int, version: int, text: str
) -> None:
    usage = Usage(tmp_path, version)
    usage.container(sandbox)
    usage.runsc(EXPORTS)
    for file in (tmp_path / "cgroup").rglob("*.*"):
        if file.is_file():
            file.write_text(text)

    looked = usage.watched().look(documents(sandbox))

    assert (looked.code, looked.stdout) == (0, FINE)
    assert set(usage.values()) == {"pss_bytes", "restarts_total", *COUNTED}


@table(
    "version, limits, limit",
    v1_none=(1, ["9223372036854771712"], None),
    v1_of_a_parent=(1, ["9223372036854771712", GIB], GIB),
    v1_the_lower=(1, [2 * GIB, GIB], GIB),
    v2_none=(2, ["max"], None),
    v2_of_a_parent=(2, ["max", GIB], GIB),
    v2_the_lower=(2, [GIB, 2 * GIB], GIB),
)
def test_the_limit_is_the_one_in_force(
    tmp_path: Path, sandbox: int, version: int, limits: list[object], limit: int | None
) -> None:
    usage = Usage(tmp_path, version)
    usage.container(sandbox)
    file = usage.group_file("memory.limit_in_bytes" if version == 1 else "memory.max")
    for directory, value in zip((file.parent, file.parent.parent), limits, strict=False):
        (directory / file.name).write_text(f"{value}\n")

    usage.watched().look(documents(sandbox))

    assert usage.values().get("memory_limit_bytes") == (None if limit is None else str(limit))


def test_the_memory_of_stubs_and_gofer_counts_and_that_of_others_does_not(
    tmp_path: Path, sandbox: int
) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)
    usage.process(sandbox + 1, 300, usage.groups(sandbox))
    usage.process(sandbox + 2, 7, usage.groups(sandbox).replace(ID, "b" * 64))
    usage.process(sandbox + 3, 7, "0::/system.slice/cron.service")

    usage.watched().look(documents(sandbox))

    assert usage.values()["pss_bytes"] == str(20_300 * 1024)


def test_memory_that_is_known_in_part_is_left_out(tmp_path: Path, sandbox: int) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)
    usage.process(sandbox + 1, 300, usage.groups(sandbox))
    (tmp_path / f"proc/{sandbox + 1}/smaps_rollup").unlink()
    ended = usage.watched()
    ended.look(documents(sandbox))
    of_the_other = usage.values()["pss_bytes"]
    (tmp_path / f"proc/{sandbox + 1}/smaps_rollup").mkdir()

    usage.watched().look(documents(sandbox))

    assert of_the_other == USED["pss_bytes"]
    assert "pss_bytes" not in usage.values()


def test_a_container_that_went_away_meanwhile_is_left_out(tmp_path: Path, sandbox: int) -> None:
    usage = Usage(tmp_path)

    looked = usage.watched().look(documents(sandbox))

    assert (looked.code, looked.stdout, usage.values()) == (0, FINE, {})


def test_labels_are_escaped_as_the_text_format_asks(tmp_path: Path, sandbox: int) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)
    app = 'a"b\\c\nd } 1\n\u2028 gr\u00fc\u00df'

    usage.watched().look([container(1, sandbox, name="x_1.y-z", host=RUNSC, labels={APP: app})])

    (line,) = (x for x in usage.textfile.read_text().split("\n") if "container_memory_bytes{" in x)
    assert line == (
        'gvisor_container_memory_bytes{container="x_1.y-z",'
        'app="a\\"b\\\\c\\nd } 1\\n\u2028 gr\u00fc\u00df",'
        'runtime="runsc",sandboxed="true"} 40000000'
    )


def test_a_label_without_end_is_cut(tmp_path: Path, sandbox: int) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)

    usage.watched().look(documents(sandbox, **{APP: "x" * 70_000}))

    assert f'app="{"x" * 200}",' in usage.textfile.read_text()


def test_each_metric_has_its_type_and_is_there_once(tmp_path: Path, sandbox: int) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)
    usage.runsc(EXPORTS)
    usage.watched().look(documents(sandbox))

    usage.watched().look(documents(sandbox))

    text = usage.textfile.read_text()
    types = dict(
        x.split()[2:] for x in text.splitlines() if x.startswith("# TYPE gvisor_container")
    )
    assert len(types) == text.count("# TYPE gvisor_container") == len({**USED, **COUNTED})
    assert {kind for name, kind in types.items() if name.endswith("_total")} == {"counter"}
    assert {kind for name, kind in types.items() if not name.endswith("_total")} == {"gauge"}


@table(
    "answer, why",
    fails=(f"echo '{REFUSED}' >&2; exit 128", REFUSED),
    breaks_off=("echo 'runsc_weirdness 9'", INCOMPLETE),
    says_nothing=("exit 0", INCOMPLETE),
    hangs=("exec sleep 60", "no answer within 5 s"),
    has_no_end=("yes runsc_weirdness 1", INCOMPLETE),
    is_no_program=("exec /nonexistent", "/nonexistent: not found"),
)
def test_a_sandbox_that_does_not_answer_only_lacks_its_counters(
    tmp_path: Path, sandbox: int, answer: str, why: str
) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)
    usage.runsc(answer)

    looked = usage.watched(**{"-k 1 5 ": "-k 1 0.5 "}).look(documents(sandbox))

    fine, missing = looked.stdout.splitlines()
    assert (looked.code, f"{fine}\n", looked.stderr) == (0, FINE, "")
    assert missing.startswith(f"<5>metrics of containers are missing: app ({ID[:12]}): ")
    assert missing.endswith(why)
    assert usage.values() == USED


def test_what_hangs_the_measuring_itself_ends_with_what_is_known(
    tmp_path: Path, sandbox: int
) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)
    rollup = tmp_path / f"proc/{sandbox}/smaps_rollup"
    rollup.unlink()
    os.mkfifo(rollup)

    looked = usage.watched(**{"$measuring_s = 90": "$measuring_s = 1"}).look(documents(sandbox))

    assert (looked.code, looked.stdout) == (0, FINE)
    assert usage.values() == {key: USED[key] for key in USED if key != "pss_bytes"}


def test_a_measuring_that_dies_changes_no_verdict(tmp_path: Path, sandbox: int) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)

    looked = usage.watched(**{"sub measured {": "sub measured { die qq(no memory\n);"}).look(
        documents(sandbox)
    )

    assert looked.code == 0
    assert looked.stdout == f"{FINE}<5>metrics of containers are missing: no memory\n"
    assert "gvisor_watch_last_run_timestamp_seconds " in usage.textfile.read_text()
    assert usage.values() == {}


def test_earlier_values_stay_until_the_new_ones_are_there(tmp_path: Path, sandbox: int) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)
    usage.runsc(EXPORTS)
    usage.watched().look(documents(sandbox, **{APP: "gr\u00fcn"}))
    first = usage.textfile.read_text()
    usage.runsc(f"cp {usage.textfile} {tmp_path}/meanwhile\n{EXPORTS}")
    usage.group_file("memory.current").write_text("90000000\n")

    usage.watched().look(documents(sandbox, **{APP: "gr\u00fcn"}))

    meanwhile = (tmp_path / "meanwhile").read_text()
    assert _of_containers(meanwhile) == _of_containers(first)
    assert usage.values()["memory_bytes"] == "80000000"


def _of_containers(text: str) -> list[str]:
    return [line for line in text.splitlines() if "gvisor_container_" in line]


@table(
    "changes",
    another_root={"[A-Za-z0-9._/-]+)": "/none)"},
    a_root_of_others={"$stat[4] != $<": "$stat[4] == $<"},
    writable_for_others={"$stat[2] & 022": "$stat[2] & 0700"},
    mounted_into_the_container={"if $one->{process}{given}": "if !$one->{process}{given}"},
    changed_since_its_release={"{^/opt/gvisor/releases/} &&": "{^/} &&"},
)
def test_a_runsc_or_a_state_that_may_be_forged_is_not_used(
    tmp_path: Path, sandbox: int, changes: dict[str, str]
) -> None:
    usage = Usage(tmp_path)
    usage.container(sandbox)
    usage.runsc(f"touch {tmp_path}/ran")

    looked = usage.watched(**changes).look(documents(sandbox))

    assert (looked.code, looked.stdout) == (0, FINE)
    assert usage.values() == USED
    assert not (tmp_path / "ran").exists()


def test_what_is_no_sandbox_is_asked_for_no_counters(tmp_path: Path, bare: int) -> None:
    usage = Usage(tmp_path)
    usage.container(bare)
    usage.runsc(f"touch {tmp_path}/ran")

    usage.watched().look(documents(bare))

    assert set(usage.values()) == set(USED)
    assert not (tmp_path / "ran").exists()
