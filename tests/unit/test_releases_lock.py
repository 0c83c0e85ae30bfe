"""The lock: what this package knows of releases."""

from __future__ import annotations

import re

from pyinfra_gvisor.releases import escapes_in, parse_release
from pyinfra_gvisor.releases.lock import LOCK, known


def test_no_known_checksum_is_of_a_release_with_a_known_escape() -> None:
    assert all(escapes_in(parse_release(release)) == () for release in LOCK["releases"])


def test_every_known_checksum_is_a_sha512_and_no_two_are_equal() -> None:
    found = [
        value
        for release in LOCK["releases"]
        for arch in ("x86_64", "aarch64")
        for value in known(release, arch).values()
    ]

    assert all(re.fullmatch("[0-9a-f]{128}", value) for value in found)
    assert len(set(found)) == len(found) > 0
