"""``pyinfra-gvisor releases``: list, check and extend the lock of gVisor releases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.exit_codes import FINE, PENDING
from pyinfra_gvisor.command.running import INVENTORY, existing
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.commands import added, checked, listed, warning, watched
from pyinfra_gvisor.releases.lockfile import PACKAGED, read_lock
from pyinfra_gvisor.releases.origins import BUCKET_URL, GITHUB_URL, TAGS_URL, TIMEOUT_S, Origins

_LOCK = click.option(
    "--lock",
    type=click.Path(path_type=Path),
    default=PACKAGED,
    metavar="FILE",
    help="The lock file. Default: the one of this package.",
)


def _origins(function: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (
        click.option(
            "--timeout-s", type=float, default=TIMEOUT_S, show_default=True, help="Per request."
        ),
        click.option(
            "--github",
            default=GITHUB_URL,
            show_default=True,
            metavar="URL",
            help="The part before /release-RELEASE/SHA512SUMS.",
        ),
        click.option(
            "--bucket",
            default=BUCKET_URL,
            show_default=True,
            metavar="URL",
            help="The part before /RELEASE/ARCH/FILE.sha512.",
        ),
    ):
        function = decorate(function)
    return function


@click.group()
def releases() -> None:
    """List, check or add gVisor releases and checksums."""


@releases.command("list")
@_LOCK
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(lock: Path, *, as_json: bool) -> None:
    """List the releases in the lock file."""
    click.echo(listed(read_lock(lock), as_json=as_json))


@releases.command()
@_LOCK
@_origins
@click.option("--online", is_flag=True, help="Ask both origins, and look for newer releases.")
@click.option(
    "--tags",
    default=TAGS_URL,
    show_default=True,
    metavar="URL",
    help="All releases, in the form of GitHub's API.",
)
def check(
    lock: Path, bucket: str, github: str, tags: str, timeout_s: float, *, online: bool
) -> int:
    """
    Check the lock file, without the network unless --online is given.

    Ends with 2 if nothing is wrong, but there are newer releases.
    """
    origins = Origins(bucket, github, tags, timeout_s=timeout_s)
    text, is_behind = checked(lock, origins if online else None)
    click.echo(text)
    return PENDING if is_behind else FINE


@releases.command()
@_LOCK
@click.option(
    "--inventory", default=INVENTORY, show_default=True, metavar="FILE", help="The nodes."
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Reports of an audit: what is in force. Default: what is declared.",
)
def watch(lock: Path, inventory: str, reports: Path | None) -> int:
    """
    Say which known escapes a newer release would fix on the nodes. Asks no node.

    Ends with 2 if there are any.
    """
    text, fixes = watched(_used(inventory, reports), read_lock(lock))
    click.echo(text or "no host has a release of gVisor")
    return PENDING if fixes else FINE


def _used(inventory: str, reports: Path | None) -> dict[str, list[str]]:
    """Return hosts by release."""
    pairs: Iterable[tuple[str, str | None]]
    if reports is None:
        from pyinfra_gvisor.rollout.hosts import read_fleet  # noqa: PLC0415 - loads much

        pairs = read_fleet(existing(inventory), ()).releases.items()
    else:
        from pyinfra_gvisor.report.earlier import read_fleet as read_report  # noqa: PLC0415

        found = read_report(reports)
        if found is None:
            todo = "set gvisor_report_dir and run pyinfra-gvisor audit"
            raise Problem(f"{reports}: no report of a fleet", todo=todo)
        pairs = {
            (host.host, item.release)
            for host in found.hosts
            for item in (host.node.runtimes if host.node else ())
        }
    used: dict[str, list[str]] = {}
    for host, release in sorted(pairs, key=str):
        if release:
            used.setdefault(release, []).append(host)
    return used


@releases.command()
@click.argument("release")
@_LOCK
@_origins
@click.option("--dry-run", is_flag=True, help="Compare and print. Write nothing.")
def add(
    release: str, lock: Path, bucket: str, github: str, timeout_s: float, *, dry_run: bool
) -> None:
    """Add RELEASE, such as 20260928.0, if both origins publish the same checksums."""
    origins = Origins(bucket, github, timeout_s=timeout_s)
    parsed = parse_release(release)
    for line in added(parsed, lock, origins, dry_run=dry_run):
        click.echo(line)
    if text := warning(parsed):
        click.echo(f"pyinfra-gvisor: {text}", err=True)
