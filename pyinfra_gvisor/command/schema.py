"""``pyinfra-gvisor schema``: JSON schemas of all that programs read or write."""

from __future__ import annotations

from importlib.resources import files

import click


@click.group()
def schema() -> None:
    """Print the JSON schema of settings, reports and others."""


@schema.command()
def settings() -> None:
    """Print the JSON schema of all gvisor_* settings."""
    _show("settings.schema.json")


@schema.command()
def report() -> None:
    """Print the JSON schema of the reports."""
    _show("report.schema.json")


@schema.command()
def results() -> None:
    """Print the JSON schema of doctor, generations and infrastructure with --json."""
    _show("results.schema.json")


@schema.command()
def statement() -> None:
    """Print the JSON schema of a statement."""
    _show("statement.schema.json")


@schema.command()
def isolation() -> None:
    """Print the JSON schema of what a node tells of its isolation."""
    _show("isolation.schema.json")


def _show(name: str) -> None:
    click.echo(
        files("pyinfra_gvisor.published").joinpath(name).read_text(encoding="utf-8"), nl=False
    )
