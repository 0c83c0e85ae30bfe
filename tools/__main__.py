"""``python -m tools``: see ``python -m tools --help``."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.exit_codes import run
from tools.compatibility.kept import DOCS, add_records
from tools.compatibility.page import read_page, write_page
from tools.release import cut as release_tools

ROOT = Path(__file__).parents[1]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """What only a clone of the source needs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code, as ``pyinfra-gvisor`` does."""
    return run(cli, argv, program="python -m tools")


class _Lab(click.Group):
    """Loads its commands late: they need the extra "lab", which the other tools do without."""

    @cached_property
    def actions(self) -> click.Group:
        try:
            from tools.lab.actions import actions  # noqa: PLC0415
        except ModuleNotFoundError as error:
            todo = "pip install -e '.[lab]'"
            raise Problem(f"the lab needs {error.name}", todo=todo) from None
        return actions

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self.actions.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.actions.get_command(ctx, cmd_name)


@cli.group(cls=_Lab)
def lab() -> None:
    """
    Start or remove throwaway nodes on this machine.

    Needs root and Docker.

    GVISOR_LAB_NAME, GVISOR_LAB_NODES and GVISOR_LAB_FLAVOURS choose the nodes, GVISOR_LAB_KIND
    (container or vm) and GVISOR_LAB_ARCH (x86_64 or aarch64) their kind, GVISOR_LAB_RUNSC (build,
    debian, or the path of an official gvisor.tar.bz2) their runsc. Node 2 is one that others have
    used before.
    """


@cli.command()
def docs() -> None:
    """Write the schemas, and tables in docs/."""
    from tools.published.schema import write_all  # noqa: PLC0415 - takes long to import

    for path in write_all():
        click.echo(f"wrote {path}")


@cli.group()
def release() -> None:
    """Cut a version, and build what is published of it."""


@release.command()
@click.argument("version")
def cut(version: str) -> None:
    """Write the version and its date, commit and tag it. Publishes nothing."""
    release_tools.cut(ROOT, version, datetime.now(UTC).date())
    click.echo(f"tagged v{version}. Next: python -m tools release build dist")


@release.command()
@click.argument("into", type=click.Path(path_type=Path), metavar="DIRECTORY")
@click.option(
    "--signing-key",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="A key of OpenSSH that signs the checksums.",
)
def build(into: Path, signing_key: Path | None) -> None:
    """Build wheel, source distribution, docs, SBOM and checksums of the commit."""
    from tools.release.dist import build as build_all  # noqa: PLC0415

    for path in build_all(ROOT, into, signing_key=signing_key):
        click.echo(path)


_DOCS = click.option(
    "--docs", type=click.Path(path_type=Path), default=DOCS, hidden=True, metavar="DIRECTORY"
)


@cli.group()
def compatibility() -> None:
    """Keep records of runs, and the table of them in docs/."""


@compatibility.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "--docker-lab-build",
    metavar="MODULE@VERSION",
    help="What dockerd was built from, if the lab built it.",
)
@_DOCS
def add(files: tuple[Path, ...], docker_lab_build: str | None, docs: Path) -> None:
    """Copy records of runs into docs/compatibility, in place of older ones."""
    read_page(docs)
    for path in add_records(files, docker=docker_lab_build, kept=docs / "compatibility"):
        click.echo(f"written: {path}")
    click.echo("write the table: python -m tools compatibility table")


@compatibility.command()
@_DOCS
def table(docs: Path) -> None:
    """Write the table of all records into docs/compatibility.md."""
    click.echo(write_page(docs))


if __name__ == "__main__":
    sys.exit(main())
