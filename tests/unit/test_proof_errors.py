"""A proof that could not be made is not one that failed: which is which, and why."""

from __future__ import annotations

import subprocess
from importlib.resources import files

import pytest

from pyinfra_gvisor.proof.proof_errors import tried_since, why_unmade
from pyinfra_gvisor.proof.verdict import judge
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.unit.observations import RELEASE, output

HOST = {"runsc": Runtime(network="host")}
NO_PEER = "the peer\tstart\tno room"


@pytest.mark.parametrize(
    ("lines", "is_ok", "said"),
    [
        pytest.param(output(), True, None, id="proven"),
        pytest.param(output(runsc={"raw_socket": "allowed"}), True, None, id="not-proven"),
        pytest.param(output(runsc={"raw_socket": "allowed"}), False, None, id="seen-and-broken"),
        pytest.param(
            ["runsc\tstart\tno such runtime", "runc\tstart\tok"], True, None, id="runtime-alone"
        ),
        pytest.param(["runsc\tstart\tok", "runc\tstart\tok", NO_PEER], False, "no room", id="peer"),
        pytest.param(
            ["runc\tstart\t" + "x" * 999 + " the cause"],
            False,
            f": {'x' * 100} … {'x' * 190} the cause",
            id="long",
        ),
        pytest.param([], True, "no error message", id="silent"),
        pytest.param(output(), False, "no error message", id="broken-off"),
        pytest.param(["x node\tended\tby a tenant"], False, "no error message", id="not-the-nodes"),
    ],
)
def test_a_proof_was_not_made_where_nothing_can_be_said(
    lines: list[str], is_ok: bool, said: str | None
) -> None:
    problem = why_unmade(lines, [], judge(lines, RELEASE, HOST), ok=is_ok)

    assert (problem is None) is (said is None)
    if problem:
        assert problem.what.startswith("could not be made: ")
        assert problem.what.endswith(said or "")


def test_a_check_that_a_runtime_gives_up_does_not_speak_against_it() -> None:
    risky = {"runsc": Runtime(flags=("--net-raw",), reason="our own ping monitors")}
    lines = output(runsc={"raw_socket": "allowed"})

    assert why_unmade(lines, ["killed"], judge(lines, RELEASE, risky), ok=False)


@pytest.mark.parametrize(
    ("tried", "made", "said"),
    [
        pytest.param({}, {}, None, id="never"),
        pytest.param({"at": "2026-11-02T", "why": "w"}, {}, "at 2026-11-02T it w", id="first"),
        pytest.param(
            {"at": "2026-11-02T", "why": "w"},
            {"at": "2026-11-01T"},
            "at 2026-11-02T it w",
            id="since",
        ),
        pytest.param({"at": "2026-11-02T"}, {"at": "2026-11-03T"}, None, id="before"),
    ],
)
def test_a_try_counts_until_a_proof_is_made(
    tried: dict[str, str], made: dict[str, str], said: str | None
) -> None:
    assert tried_since({"proof-try": tried, "proof": made}) == said


HELP = {
    "26": "docker: Error response from daemon: no room.\nSee 'docker run --help'.",
    "29": "docker: Error response from daemon: no room.\n\nRun 'docker run --help' for more",
    "warning": "WARNING: no swap\ndocker: Error response from daemon: no room.",
    "exec": "WARNING: x\nError response from daemon: no room.\nexit status 1",
}


@pytest.mark.parametrize("said", [pytest.param(said, id=name) for name, said in HELP.items()])
def test_dockers_own_error_is_picked_out_of_what_it_says(said: str) -> None:
    assert picked(said).endswith("Error response from daemon: no room.")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("timeout\nSee 'docker run --help'.\n", "timeout", id="another-error"),
        pytest.param("nothing, code 124", "nothing, code 124", id="no-word"),
        pytest.param("", "", id="nothing"),
        pytest.param("docker: " + "x" * 999, "docker: " + "x" * 992, id="long"),
    ],
)
def test_what_is_no_error_of_the_daemons_is_told_as_it_ends(said: str, expected: str) -> None:
    assert picked(said) == expected


def picked(said: str) -> str:
    """What ``prove.sh`` takes of it."""
    text = files("pyinfra_gvisor.proof").joinpath("prove.sh").read_text()
    function = text[text.index("why_not() {") :].partition("\n}\n")[0]
    program = f'set -eu\nsay() {{ printf \'%s\\n\' "$*"; }}\n{function}\n}}\nwhy_not "$1"'
    ran = subprocess.run(
        ["sh", "-c", program, "sh", said], capture_output=True, text=True, check=True
    )
    return ran.stdout.rstrip("\n")
