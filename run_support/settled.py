"""
A host with nothing to do runs no operation.

For each operation on each host pyinfra asks ``inspect`` for the stack, which takes longer than our
own plan: with fifty hosts that need nothing it was half of the controller's processor time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from pyinfra import host as current_host
from pyinfra.api import Host, OperationError
from pyinfra.api import operation as pyinfras_operation

from pyinfra_gvisor.run_support.ending import keep_look
from pyinfra_gvisor.run_support.look import Look, begin_look, end_look, look_at


def operation() -> Callable[[Callable[..., Any]], Any]:
    """
    Return pyinfra's decorator of an operation, for one that a host may need not to run.

    During ``run_unless_settled`` a call only asks whether the operation would do anything.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        made: Any = pyinfras_operation()(function)

        @wraps(made)
        def called(*arguments: Any, **named: Any) -> Any:
            look = look_at(current_host)
            if look is None:
                return made(*arguments, **named)
            named.pop("name", None)
            if not look.pending:
                look.pending = _does_anything(function(*arguments, **named))
            return None

        return called

    return decorate


def _does_anything(commands: Any) -> bool:
    try:
        return next(commands, commands) is not commands
    except OperationError:  # it is raised and told again by the operation itself
        return True
    finally:
        commands.close()


def run_unless_settled(host: Host, steps: Callable[[], None]) -> None:
    """
    Call ``steps``, which calls operations, unless none of them would do anything on the host.

    Only with ``-y``: else pyinfra makes a plan, in which each operation is listed.
    """
    if host.state.check_for_changes or host.state.print_noop_info:
        steps()
        return
    look = begin_look(host)
    try:
        steps()
    finally:
        end_look(host)
    keep_look(host, settled=not look.pending)
    if look.pending:
        steps()
        return
    _say(host, look)


def _say(host: Host, look: Look) -> None:
    for line, level in look.said:
        host.log(line, level)
