"""Who is in a sandbox: one table of cases, for what Python says of it and what the watch does."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import program
from pyinfra_gvisor.sandbox.verdict import NodeFacts, Process, judge

TABLE = json.loads(Path(__file__).with_name("cases.json").read_text())
CASES = [pytest.param(case, id=case["id"]) for case in TABLE["cases"]]
PERL = (
    program(
        *("base/json.pl", "base/docker_api.pl"),
        *(f"sandbox/{name}.pl" for name in ("process", "runc_names", "verdict")),
    )
    + r"""
binmode STDOUT, ":utf8";
local $/;
my $table = json(<STDIN>);
for my $case (@{$table->{cases}}) {
    my %ground = (%{$table->{ground}}, takes_runc => $case->{takes_runc});
    print join("\x00", map { $_ // "" } verdict($case, \%ground)), "\x01";
}
"""
)


@cache
def by_perl() -> dict[str, tuple[str, str, str | None]]:
    """What the watch says of each case."""
    ran = subprocess.run(
        ["perl", "-e", PERL], input=json.dumps(TABLE), check=True, capture_output=True, text=True
    )
    lines = [line.split("\0") for line in ran.stdout.split("\1")[:-1]]
    return {
        case["id"]: (state, why, release or None)
        for case, (state, why, release) in zip(TABLE["cases"], lines, strict=True)
    }


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_judged_as_the_table_says_by_python_and_by_the_watch(
    case: dict[str, Any],
) -> None:
    told = {**TABLE["ground"], "takes_runc": case.get("takes_runc", False)}
    process, expected = Process(**case["process"]), (case["state"], case["why"], case["release"])

    found = judge(case["asked"], process, NodeFacts(**told))
    of_nothing_known = judge(case["asked"], process, NodeFacts())

    assert (found.state, found.why, found.release) == expected
    assert by_perl()[case["id"]] == expected
    assert of_nothing_known.state != "sandboxed"
