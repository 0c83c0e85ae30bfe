"""``pyinfra-gvisor releases``: list, check and extend the lock of gVisor releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pyinfra_gvisor.command.exit_codes import FINE, PENDING
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.commands import added, checked, listed, warning
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
