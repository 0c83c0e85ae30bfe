"""Check the output of a run: it counts only if it did its whole job and nothing else."""

import re

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.bench.measure import BenchError

_TOTAL = re.compile(r"Grand total +(\d+) +(\S+) +(\S+) +(\S+)")
_RAN_NOTHING = re.compile(r"Grand total(?: +-){4}")
_COMPLIANT = re.compile(r"^ *\[(bench-\d+)\] +\1: compliant[,;]", re.MULTILINE)
_CHECK = re.compile(r"^ *\[bench-\d+\] +(\S+) +runsc  .+  (ok|n/a)$", re.MULTILINE)


def unchanged(output: str, hosts: int) -> None:
    """Raise ``BenchError`` unless pyinfra found nothing to do on all hosts."""
    if _total(output, hosts)[1:] != (0, 0):
        raise BenchError(f"pyinfra did not leave {hosts} hosts unchanged:\n{output}")


def every_host_ready(output: str, hosts: int) -> None:
    """Raise ``BenchError`` unless every host is ready: pyinfra drops a host whose fact fails."""
    if len(re.findall(r"Ready: .*floor\.py", output)) != hosts:
        raise BenchError(f"pyinfra did not read {hosts} hosts:\n{output}")


def audited(output: str, hosts: int) -> None:
    """Raise ``BenchError`` unless the audit called every host compliant."""
    unchanged(output, hosts)
    if len(set(_COMPLIANT.findall(output))) != hosts:
        raise BenchError(f"the audit did not find {hosts} hosts compliant:\n{output}")


def proven(output: str, hosts: int) -> None:
    """Raise ``BenchError`` unless every check was shown and the proof was the only change."""
    due = [item.id for item in asked_of(Runtime())]
    shown = sorted(check for check, _ in checks(output))
    if shown != sorted(due * hosts) or _total(output, hosts)[1:] != (hosts, 0):
        raise BenchError(f"{hosts} hosts were not proven, and nothing else:\n{output}")


def checks(output: str) -> list[tuple[str, str]]:
    """Return the checks in a proof's table that did not fail, each with ok or n/a."""
    return _CHECK.findall(output)


def changed_0(output: str, hosts: int) -> None:
    """Raise ``BenchError`` unless Ansible's recap has no change on every host."""
    recap = r"^bench-\d+ +: ok=\d+ +changed=0 +unreachable=0 +failed=0 "
    if len(re.findall(recap, output, re.MULTILINE)) != hosts:
        raise BenchError(f"Ansible did not leave {hosts} hosts unchanged:\n{output}")


def _total(output: str, hosts: int) -> tuple[int, int, int]:
    """
    Parse pyinfra's grand total: return all operations on hosts, successes and errors.

    A run with nothing to do on any host has none, and its summary counts every host.
    """
    if _RAN_NOTHING.search(output) and re.search(
        rf"Summary: .*\b{hosts} of {hosts} hosts?", output
    ):
        return 0, 0, 0
    if found := _TOTAL.search(output):
        every, done, failed, left = (0 if text == "-" else int(text) for text in found.groups())
        if every and every % hosts == 0 and done + failed + left == every:
            return every, done, failed
    raise BenchError(f"pyinfra does not say what it did on {hosts} hosts:\n{output}")
