"""``statement``: what an audit saw, signed with the operator's key."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.running import Nodes, on_nodes, pyinfra_arguments, run_pyinfra
from pyinfra_gvisor.node.changes import package_version
from pyinfra_gvisor.report.earlier import read_fleet
from pyinfra_gvisor.report.statement import page, state, unseen
from pyinfra_gvisor.report.summary import RESULT_DIR

NAMESPACE: Final = "pyinfra-gvisor-statement"
"""What the signature is for: ssh-keygen(1), ``-Y sign``. One for another purpose is refused."""


@click.command()
@on_nodes
@click.option(
    "--key", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A private key of OpenSSH, or the public key of one that the agent has.",
)  # fmt: skip
@click.option(
    "--app", "apps", multiple=True, metavar="NAME", help="Name these containers, count the others."
)
@click.option(
    "--into", default="statement", show_default=True, type=click.Path(path_type=Path),
    metavar="DIR", help="Where it is written.",
)  # fmt: skip
def statement(nodes: Nodes, *, key: Path, apps: tuple[str, ...], into: Path) -> int:
    """
    Sign what an audit saw, for a customer. Changes no node.

    Writes statement.txt for people, statement.json for programs, and a signature of each.
    """
    if not key.is_file():
        raise Problem(f"{key}: no such key", todo="make one: ssh-keygen -t ed25519 -f FILE")
    with tempfile.TemporaryDirectory(prefix="pyinfra-gvisor-") as directory:
        result = {RESULT_DIR: directory}
        code = run_pyinfra(pyinfra_arguments(nodes, "audit", "-y"), environment=result)
        found = read_fleet(Path(directory))
    if found is None:  # the run has said why
        return code
    stated = state(found, f"pyinfra-gvisor {package_version()}", apps)
    if missing := unseen(stated, apps):
        todo = "write names as docker ps shows them"
        raise Problem("no running container has this name", got=", ".join(missing), todo=todo)
    text = json.dumps(stated.model_dump(mode="json"), indent=2) + "\n"
    files = _signed({"statement.txt": page(stated), "statement.json": text}, key)
    _write(into, files)
    click.echo(page(stated), nl=False)
    click.echo(f"\nwritten: {', '.join(str(into / name) for name in files)}", err=True)
    return code


def _signed(texts: Mapping[str, str], key: Path) -> dict[str, bytes]:
    """Return files, each followed by its signature."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="pyinfra-gvisor-") as directory:
        for name, text in texts.items():
            path = Path(directory, name)
            path.write_text(text, encoding="utf-8")
            command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(path)]
            try:
                subprocess.run(command, check=True)
            except FileNotFoundError:
                raise Problem("ssh-keygen is missing", todo="install openssh-client") from None
            except subprocess.CalledProcessError as error:
                why = f"ssh-keygen ended with {error.returncode}"
                raise Problem(f"{key}: cannot sign: {why}", todo="see the lines above") from None
            files |= {item.name: item.read_bytes() for item in (path, Path(f"{path}.sig"))}
    return files


def _write(into: Path, files: Mapping[str, bytes]) -> None:
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (into / name).write_bytes(content)
    except OSError as error:
        todo = "give a directory that you can write to: --into DIR"
        raise Problem(f"{into}: cannot be written: {error.strerror}", todo=todo) from None
