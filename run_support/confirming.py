"""The questions of a command: whether to go on without some hosts, and whether to change them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from pyinfra import logger

_OF_THE_PLAN = "Detected changes"


def ask_to_change(restarting: Callable[[], Sequence[str]], *, plans: bool) -> None:
    """
    Have pyinfra ask whether to change the hosts, so that only a typed ``y`` does.

    It asks by ``_do_confirm`` in pyinfra_cli/cli.py of pyinfra 3.10, also after a host failed.
    Where that is gone, any Enter is a yes.

    + plans: the run changes nothing, so it goes on without asking
    + restarting: returns the hosts on which dockerd will be restarted
    """
    command: Any = sys.modules.get("pyinfra_cli.cli")
    if not hasattr(command, "_do_confirm"):
        return

    def ask(message: str) -> bool:
        if plans:
            return True
        logger.info("")
        try:
            if not message.startswith(_OF_THE_PLAN):
                text = "    Go on without the hosts that failed?"
                return click.confirm(text, default=True, err=True)
            hosts = restarting()
            what = f" dockerd restarts on {len(hosts)}: {', '.join(hosts)}." if hosts else ""
            return click.confirm(f"   {what} Change the hosts as shown above?", err=True)
        except click.Abort:  # the keyboard is closed
            return False

    command._do_confirm = ask
