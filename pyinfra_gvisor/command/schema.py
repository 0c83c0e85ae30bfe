"""``pyinfra-gvisor schema``: JSON schemas of the settings and of the reports."""

from __future__ import annotations

from importlib.resources import files

import click


@click.group()
def schema() -> None:
    """Print the JSON schema of settings or reports."""


@schema.command()
def settings() -> None:
    """Print the JSON schema of all gvisor_* settings."""
    _show("settings.schema.json")


@schema.command()
def report() -> None:
    """Print the JSON schema of the reports."""
    _show("report.schema.json")


def _show(name: str) -> None:
    click.echo(
        files("pyinfra_gvisor.published").joinpath(name).read_text(encoding="utf-8"), nl=False
    )
