"""Metrics for the node exporter, and the script that puts them on a node."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.textfile import textfile
from tests.table import table
from tests.unit.report.reports import AT_S, PROVEN_S, container, failed, host, node, unknown
from tests.unit.shells import run, stub, toolbox

NAME = "pyinfra_gvisor.prom"
LINE = re.compile(r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\d+)')


def samples(report: HostReport) -> dict[str, int]:
    """Every sample by its name and labels; a line that is none is a failure."""
    found = {}
    for line in textfile(report).splitlines():
        if not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            found[f"{match[1]}{match[2] or ''}"] = int(match[3])
    return found


def test_a_host_that_fails_in_numbers() -> None:
    assert samples(failed()) == {
        "gvisor_node_compliant": 0,
        'gvisor_findings{severity="critical"}': 1,
        'gvisor_findings{severity="high"}': 1,
        'gvisor_findings{severity="medium"}': 0,
        'gvisor_findings{severity="low"}': 1,
        'gvisor_findings{severity="info"}': 0,
        'gvisor_containers{runtime="runc",sandboxed="false"}': 2,
        'gvisor_containers{runtime="runc",sandboxed="true"}': 0,
        'gvisor_containers{runtime="runc",sandboxed="unknown"}': 0,
        'gvisor_containers{runtime="runsc",sandboxed="false"}': 0,
        'gvisor_containers{runtime="runsc",sandboxed="true"}': 1,
        'gvisor_containers{runtime="runsc",sandboxed="unknown"}': 0,
        'gvisor_release_info{release="20260928.0",docker="28.5.1",kernel="6.12.48+deb13-amd64"}': 1,
        "gvisor_last_proof_timestamp_seconds": PROVEN_S,
        "gvisor_last_audit_timestamp_seconds": AT_S,
    }


def test_of_a_clean_a_never_proven_and_an_unknown_host_nothing_is_made_up() -> None:
    never = host("a").model_copy(update={"node": node(at=None)})

    clean, nothing = samples(host("a")), samples(unknown("a"))

    assert (clean["gvisor_node_compliant"], nothing["gvisor_node_compliant"]) == (1, 0)
    assert [value for name, value in clean.items() if "findings" in name] == [0] * 5
    assert not [name for name in nothing if "release" in name or "containers" in name]
    assert ("proof" in textfile(host("a")), "proof" in textfile(never)) == (True, False)


def test_every_metric_has_help_and_type_in_front_once_and_its_samples_in_one_piece() -> None:
    lines = textfile(failed()).split("\n")

    assert lines.pop() == ""
    heads = [index for index, line in enumerate(lines) if line.startswith("# HELP ")]
    names = [lines[index].split()[2] for index in heads]
    assert len(names) == len(set(names)) == 6
    for name, begin, end in zip(names, heads, [*heads[1:], len(lines)], strict=True):
        assert lines[begin + 1] == f"# TYPE {name} gauge"
        assert lines[begin + 2 : end]
        assert all(re.match(rf"{name}[ {{]", line) for line in lines[begin + 2 : end])


def test_a_labels_value_is_escaped() -> None:
    found = samples(host("a", containers=(container("a", asked='r"\\\nx'),)))

    assert found[r'gvisor_containers{runtime="r\"\\\nx",sandboxed="true"}'] == 1


def write(path: Path, directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    """The script with its output in ``directory``."""
    if not path.exists():
        toolbox(path)
    variables = {"textfile_dir": str(directory), "content_b64": encoded(text)}
    return run(script("base/write_textfile", **variables), path=path)


def test_the_script_writes_a_file_for_all_to_read_and_nothing_beside_it(tmp_path: Path) -> None:
    directory = tmp_path / "text files"
    directory.mkdir()
    (directory / NAME).write_text("old")

    ran = write(tmp_path / "bin", directory, textfile(failed()))

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert [path.name for path in directory.iterdir()] == [NAME]
    assert (directory / NAME).read_text() == textfile(failed())
    assert oct((directory / NAME).stat().st_mode & 0o7777) == "0o644"


def test_until_all_is_written_the_collector_sees_the_old_file_only(tmp_path: Path) -> None:
    directory = tmp_path / "text"
    directory.mkdir()
    (directory / NAME).write_text("old")
    path = toolbox(tmp_path / "bin")
    stub(path, "mv", f'ls -A "{directory}" > "{tmp_path}/seen"; exit 1')

    ran = write(path, directory, "new\n")

    seen = (tmp_path / "seen").read_text().split()
    assert ran.returncode != 0
    assert len(seen) == 2
    assert [name for name in seen if name.endswith(".prom")] == [NAME]
    assert [path.name for path in directory.iterdir()] == [NAME]
    assert (directory / NAME).read_text() == "old"


def test_a_link_in_the_temporary_files_place_is_not_followed(tmp_path: Path) -> None:
    directory, other = tmp_path / "text", tmp_path / "other"
    directory.mkdir()
    other.write_text("kept")
    (directory / f".{NAME}.new").symlink_to(other)

    ran = write(tmp_path / "bin", directory, "new\n")

    assert (ran.returncode, other.read_text()) == (0, "kept")
    assert not (directory / NAME).is_symlink()


@table("there", nothing=False, file=True)
def test_a_missing_directory_is_named_with_what_to_do(tmp_path: Path, there: bool) -> None:
    directory = tmp_path / "text"
    if there:
        directory.write_text("a file")

    ran = write(tmp_path / "bin", directory, "new\n")

    assert ran.returncode == 1
    assert ran.stderr == (
        f"textfile_dir {directory} does not exist; "
        "install prometheus-node-exporter, or correct gvisor_textfile_dir\n"
    )
