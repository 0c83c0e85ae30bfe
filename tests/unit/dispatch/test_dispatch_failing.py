"""Wrappers without a judge, with a broken one, or with damaged files: nothing starts."""

import fcntl
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.arguments import Data
from tests.table import table
from tests.unit.dispatch.judged import ID, NOT_ALLOWED, TODO, Judged

RUNTIMES = [pytest.param("gvisor", id="sealed"), pytest.param("gvisordefault", id="default")]


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node with a plain container."""
    found = Judged(tmp_path)
    found.container()
    found.spec()
    return found


def failed(node: Judged, runtime: str = "gvisor") -> str:
    """Create the container, which must fail, and return what Docker shows."""
    said = node.create(runtime)
    assert said.startswith("refused: ")
    assert not node.marks.exists()
    return said.removeprefix("refused: ")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_python_the_message_says_what_to_install(node: Judged, runtime: str) -> None:
    node.is_whole = True
    wrapper, python = node.wrapper[runtime], node.root / "no-python"
    wrapper.write_text(wrapper.read_text().replace("/usr/bin/python3", str(python)))

    said = failed(node, runtime)

    assert said == (f"{python} is missing, so this container was not started; install python3")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_missing_judge_refuses(node: Judged, runtime: str) -> None:
    node.is_whole = True
    node.wrapper["judge"].unlink()

    said = failed(node, runtime)

    assert said.startswith("the judge ended with code 2, so this container was not started: ")
    assert str(node.wrapper["judge"]) in said
    assert said.endswith("; reinstall python3 and run pyinfra-gvisor apply")


@pytest.mark.parametrize("runtime", RUNTIMES)
@table(
    "text",
    empty="",
    syntax="}}}\n",
    says_nothing="1\n",
    says_something_else='print("maybe")\n',
    ends_without_a_reason="raise SystemExit(3)\n",
    killed="import os\nos.kill(os.getpid(), 9)\n",
)
def test_a_damaged_judge_refuses(node: Judged, runtime: str, text: str) -> None:
    node.is_whole = True
    node.wrapper["judge"].write_text(text)
    node.log.write_text('{"level":"error","msg":"pyinfra-gvisor: nothing yet"}\n')

    said = failed(node, runtime)

    assert said.startswith("the judge ended with code ") or said == "nothing yet"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_judge_that_is_cut_anywhere_refuses(node: Judged, runtime: str) -> None:
    lines = node.wrapper["judge"].read_text().splitlines(keepends=True)
    started = node.root / "started"

    for number in range(0, len(lines) - 1, 149):
        node.wrapper["judge"].write_text("".join(lines[:number]))
        node.call("create", "--bundle", str(node.bundle), ID, runtime=runtime)

        assert not started.exists(), f"started with {number} lines"


def test_without_perl_the_judge_is_run_all_the_same(node: Judged) -> None:
    node.is_whole = True
    wrapper = node.wrapper["gvisor"]
    wrapper.write_text(wrapper.read_text().replace("/usr/bin/perl", "/nowhere/perl"))

    assert node.create() == "runsc"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_judge_that_hangs_is_ended_by_its_own_alarm(node: Judged, runtime: str) -> None:
    node.is_whole = True
    path = node.bundle / "config.json"
    path.unlink()
    os.mkfifo(path)
    wrapper = node.wrapper[runtime]
    before, after = wrapper.read_text().split("\nlimit_s=60\n")
    wrapper.write_text(f"{before}\nlimit_s=1\n{after}")

    said = failed(node, runtime)

    assert said == (
        "no decision within 1 s, so this container was not started; "
        "check for mounts that hang, such as NFS"
    )
    assert int(signal.SIGALRM) + 128 == 142  # call.sh


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "name", [pytest.param(name, id=name) for name in ("config.v2.json", "hostconfig.json")]
)
@pytest.mark.parametrize("part", [pytest.param(part, id=f"cut-{part}") for part in (0, 0.3, 0.99)])
def test_a_file_of_docker_that_is_cut_refuses(
    node: Judged, runtime: str, name: str, part: float
) -> None:
    path = node.data / "containers" / ID / name
    text = path.read_text()
    path.write_text(text[: int(len(text) * part)])

    assert failed(node, runtime) == f"{path} is not complete"


@pytest.mark.parametrize("runtime", RUNTIMES)
@table(
    "text",
    empty="",
    null="null",
    list="[]",
    without_path='{"root":{}}',
    cut='{"root":{"path":"/x"}',
    no_json="\0\xff{",
)
def test_a_specification_that_is_damaged_refuses(node: Judged, runtime: str, text: str) -> None:
    path = node.bundle / "config.json"
    path.write_bytes(text.encode("latin-1"))

    assert failed(node, runtime) == f"{path} is not complete"


def test_missing_files_of_docker_refuse(node: Judged) -> None:
    (node.data / "containers" / ID / "config.v2.json").unlink()

    assert failed(node) == f"Docker's files about this container were not found above {node.rootfs}"


@pytest.mark.parametrize("runtime", RUNTIMES)
@table(
    "much",
    labels={"config": {"Labels": {f"l{n}": '\\"\n' for n in range(70000)}}},
    one_variable={"config": {"Env": ["A=" + '"\n' * 70000]}},
    ten_megabytes={"config": {"Labels": {"x": "y" * 10_000_000}}},
    annotations={"host": {"Annotations": {f"a{n}": "" for n in range(70000)}}},
    list_before={"host": {"Binds": ["v:/x"] * 70000}},
)
def test_a_flood_of_values_hides_nothing(node: Judged, runtime: str, much: dict[str, Data]) -> None:
    (node.data / "containers" / ID / "config.v2.json").unlink()
    (node.data / "containers" / ID / "hostconfig.json").unlink()
    (node.data / "containers" / ID).rmdir()
    node.container(**{**much, "host": {**much.get("host", {}), "Privileged": True}})

    said = failed(node, runtime)

    assert f"refused: {said}" == f"{NOT_ALLOWED}privileged{TODO}"


def test_a_flood_of_annotations_in_the_specification_hides_no_namespace(
    node: Judged,
) -> None:
    node.spec(
        annotations={**{f"a{n}": "" for n in range(70000)}, "dev.gvisor.x": "1"},
        namespaces=[],
    )

    said = failed(node)

    assert f"refused: {said}".startswith(f"{NOT_ALLOWED}annotation dev.gvisor.x; ipc namespace ")


def test_json_that_is_nested_too_deeply_refuses(node: Judged) -> None:
    path = node.data / "containers" / ID / "config.v2.json"
    path.write_text(path.read_text()[:-1] + ',"X":' + "[" * 100_000 + "]" * 100_000 + "}")

    assert failed(node) == f"{path} is not complete"


@table(
    "name",
    controls='"\\\n\t\x01',
    unicode="é中😀",
    replacement="\ufffd",
)
def test_what_docker_shows_is_json_whatever_a_tenant_writes(node: Judged, name: str) -> None:
    (node.data / "containers" / ID / "hostconfig.json").write_text(
        json.dumps({"NetworkMode": "x", "Sysctls": {name: "1"}})
    )

    said = failed(node)

    assert f"refused: {said}" == f"{NOT_ALLOWED}sysctl {name}{TODO}"


def test_bytes_that_are_not_utf_8_do_not_break_the_line_that_docker_reads(node: Judged) -> None:
    node.is_whole = True
    (node.data / "containers" / ID / "hostconfig.json").write_bytes(
        b'{"NetworkMode":"x","Sysctls":{"a\xff\xc3":"1"}}'
    )

    node.create()

    (line,) = node.log.read_bytes().splitlines()
    assert json.loads(line.decode())["level"] == "error"


def test_without_a_log_the_reason_goes_to_standard_error(node: Judged) -> None:
    node.log = node.root / "nowhere" / "log.json"
    node.spec(namespaces=[])

    ran = node.call("create", "--bundle", str(node.bundle), ID)

    assert ran.returncode == 1
    assert ran.stderr.startswith("pyinfra-gvisor: a sandbox may not have: ")
    assert not (node.root / "started").exists()


@table("word", empty="", other="all\n")
def test_a_damaged_permit_refuses(node: Judged, word: str) -> None:
    node.permit(word)

    assert failed(node) == f"{node.permits}/{ID} is damaged"


FORGED: dict[str, Callable[[Path], object]] = {
    "mode": lambda permit: permit.chmod(0o644),
    "directory": lambda permit: permit.parent.chmod(0o755),
    "directory-above": lambda permit: permit.parent.parent.chmod(0o755),
    "symbolic-link": lambda permit: permit.symlink_to(permit.rename(permit.with_name("other"))),
    "hard-link": lambda permit: permit.with_name("other").hardlink_to(permit),
    "pipe": lambda permit: (permit.unlink(), os.mkfifo(permit, 0o600)),
    "linked-directory": lambda permit: permit.parent.symlink_to(
        permit.parent.rename(permit.parent.with_name("other"))
    ),
}


SHARED: dict[str, Callable[[Judged], object]] = {
    "an-audit-runs": lambda node: fcntl.flock(node.proof, fcntl.LOCK_SH),
    "nothing-runs": lambda node: fcntl.flock(node.proof, fcntl.LOCK_UN),
    "no-proof-since-boot": lambda node: Path(node.proof.name).unlink(),
}


@pytest.mark.parametrize("end", SHARED.values(), ids=SHARED)
def test_a_permit_counts_only_while_a_proof_runs(
    node: Judged, end: Callable[[Judged], object]
) -> None:
    permit = node.permit("runc\n")
    end(node)

    assert failed(node) == f"{permit} was not written by pyinfra-gvisor, find out who did"


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_permit_that_no_proof_wrote_refuses(
    node: Judged, forge: Callable[[Path], object]
) -> None:
    """dockerd makes files and directories for mounts, as root, before a container is refused."""
    forge(node.permit("runc\n"))

    said = failed(node)

    assert said == f"{node.permits}/{ID} was not written by pyinfra-gvisor, find out who did"


def test_a_judge_that_sends_a_sealed_container_to_runc_refuses(node: Judged) -> None:
    node.is_whole = True
    node.wrapper["judge"].write_text('print("runc")\n')

    assert failed(node, "gvisor") == f"{node.wrapper['gvisor']}: unknown decision"
