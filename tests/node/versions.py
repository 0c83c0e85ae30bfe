"""
Which files run on several versions of Docker, and what is known to differ there.

A test that is not in one of these files runs on one version. Whoever adds a file says what differs:
with a file of moby (paths below are in it), or with the fault that was found on one version only.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

import pytest

OF_NODES = {
    "plain": "26",
    "lived-in": "26",
    "debian-12": "20",
    "debian-13": "26",
}
"""The versions of nodes whose names do not tell."""

EVIDENCE = {
    "test_apt": "Debian 12's apt checks signatures with gpgv, Debian 13's with sqv",
    "test_audit": "29 does not report runc's version; only 20.10 leaves shims behind (seen)",
    "test_audit_builds": "20.10 builds without BuildKit unless it is asked to",
    "test_bad_archives": "one node has curl, the other only wget",
    "test_bad_files": "20.10 has no dockerd --validate, so it cannot be asked beforehand",
    "test_dispatch_": "20.10 builds without BuildKit, 29 has containerd's store",
    "test_divert": "runc of Debian 12 and of Debian 13, and the later one that 29 needs",
    "test_egress": "28 drops direct access in raw, 29 has nftables: libnetwork/drivers/bridge",
    "test_engine": "docker.io is another package in Debian 12 and in Debian 13",
    "test_key_table": "each version has other keys: daemon/config/config.go",
    "test_main_job": "two Debians, two image stores, and 28 forgets host-gateway at a reload",
    "test_move": "29 has another form of networks in its API, and gives addresses at random",
    "test_names": "20.10 is silent about unknown names; 28 gives new hardware addresses",
    "test_proof_image": "20.10 cannot import such an image; containerd's store gives it a digest",
    "test_proof_runtimes": "20.10 is silent about unknown names",
    "test_reach": "bridges are apart before 29 (seen), whose nftables has rules of its own",
    "test_remove": "20.10 forgets the names that it gives to runc itself at a reload",
    "test_runtimes": "20.10 accepts any entry of runtimes: daemon/runtime_unix.go",
    "test_runtimes_overlay": "the root file system is overlay2's or a snapshot of containerd's",
    "test_transaction": "20.10 removes runtime scripts at a reload, later ones only at a start",
    "test_verdict": "20.10 does not list runc after a reload, so who asks for it looks strange",
}
"""What differs, by how the names of files begin."""


def check(items: Iterable[pytest.Item]) -> None:
    """Raise ``UsageError`` if a test runs on several versions of Docker and nobody says why."""
    found: dict[str, set[str]] = defaultdict(set)
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            name = f"{item.path.stem}::{item.originalname}"
            found[name] |= {version for word in _words(item) if (version := _version(word))}
    for name, versions in found.items():
        if len(versions) > 1 and not any(name.startswith(start) for start in EVIDENCE):
            told = ", ".join(sorted(versions))
            raise pytest.UsageError(
                f"{name} runs on Docker {told}: say in tests/node/versions.py what differs"
            )


def _words(item: pytest.Function) -> list[str]:
    """The values of a test's parameters that are texts, and its id, which names others."""
    texts = (value for value in item.callspec.params.values() if isinstance(value, str))
    return [*texts, *item.callspec.id.split("-")]


def _version(word: str) -> str | None:
    told = re.fullmatch(r"(?:docker|names)-(\d\d)|(2\d)\.\d+", word)
    return OF_NODES.get(word) or (told and (told[1] or told[2])) or None
