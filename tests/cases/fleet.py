"""pyinfra's real engine on hosts that do not exist: what is sent to them is written down."""

import base64
import gzip
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api import Config, FileUploadCommand, Host, Inventory, State, util
from pyinfra.api.connect import connect_all
from pyinfra.api.deploy import add_deploy
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.operation import OperationMeta, add_op
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.connectors.util import CommandOutput, OutputLine

from pyinfra_gvisor.facts.source import END as END_OF_SOURCE

# A piece of each script that is in no other.
MARKS = {
    "state": 'echo "end of node state"',
    "keeper": "operation=keeper.keeper",
    "watch": "# Installs a timer with a service",  # the keeper's has its own, above
    "watch remove": "# Removes a timer with its service",
    "divert": "operation=divert.runc",
    "docker": "# Installs Docker Engine",
    "release": "# Installs one runsc release beside the others",
    "wrappers": "# Writes wrapper scripts",
    "link": "# Points /usr/local/bin/runsc, a link for people",
    "daemon.json": "# Runs the script on standard input detached from this session",
    "measure": "# Does the same work under each runtime",
    "trial": "# Tries a container: a control under runc",
    "prove": "# Starts a probe container under each runtime",
    "record": "# Writes one of our records",
    "copy record": "# Copies one of our records",
    "generations": "# Prints the daemon.json from before each change",
    "source": "# Asks for the first byte of each file of a release",
    "users": "# Prints every container, running or not",
    "collect": "# Removes releases and wrappers that nothing needs",
    "release users": "# Prints the paths of releases and wrappers",  # which "collect" looks at too
    "textfile": "# Writes the node exporter's textfile",
    "remove": "# Removes what this package put on the node",
    "kernel": "# Applies the declared kernel settings",
    "resolver": "# Installs the resolver and starts it",
    "resolver remove": "# Removes the resolver from the node",
    "judge": "# Has the judge resident",
    "judge remove": "# Has no resident judge",
    "egress try": "# Loads new firewall rules on trial",
    "egress confirm": "# Confirms the new firewall rules",
    "egress undo": "# Rolls back unconfirmed firewall rules now",
    "egress remove": "# Removes the firewall from the node",
    "coolify state": "echo 'end of coolify state'",
    "coolify option": "# Patches Coolify so that it passes --runtime on to Docker, or",
    "coolify install": "# Keeps the option across upgrades of Coolify",
    "coolify remove": "# Removes from a control host what keeps the option",
}
STATES = ("state", "coolify state")
FACTS = (*STATES, "generations", "users", "release users", "source")
CONNECTING = ("connect", "disconnect")


def as_from_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Have pyinfra take our files for its own, as it did below site-packages, and might again.

    ``pyinfra_gvisor/deploys/__init__.py`` keeps it from that. If that has no effect any more, no
    line of ours tells one operation from another, and a deploy has to go on all the same.
    """
    for name in ("operation", "util"):
        module = import_module(f"pyinfra.api.{name}")
        monkeypatch.setattr(module, "pyinfra", SimpleNamespace(is_cli=True))
    monkeypatch.setattr(util, "PYINFRA_INSTALL_DIR", str(Path(__file__).parent.parent.parent))


def unpacked(text: str) -> str:
    """What ``packed`` was given."""
    return gzip.decompress(base64.b64decode(text)).decode()


_PACKED = re.compile(r'eval "\$\(printf %s (\S+) \| base64 -d \| gzip -d\)"')


def _unpacked(found: re.Match[str]) -> str:
    """What a node runs of a long script."""
    return _quoted(gzip.decompress(base64.b64decode(found[1])).decode())


@dataclass(frozen=True)
class Sent:
    """
    A command as a host got it, or a file that was uploaded, or what became of a connection.

    ``anew``: over a connection that was made while the run went on.
    """

    kind: str
    command: str = ""
    stdin: str | None = None
    sudo: bool = False
    anew: bool = False

    @property
    def words(self) -> list[str]:
        """The text behind ``sh -c``, what it calls itself, and its arguments."""
        parts = shlex.split(self.command)
        return parts[parts.index("-c") + 1 :]

    def written(self, name: str = "after") -> str:
        """The file that a transaction writes: daemon.json, or one of its records."""
        (text,) = re.findall(rf"^{name}_b64=(\S+)$", self.stdin or "", re.MULTILINE)
        return base64.b64decode(text).decode()

    @property
    def files(self) -> dict[str, tuple[str, str]]:
        """Mode and text by path of the files that ``put_files.sh`` is given."""
        given = self.words[2:]
        return {
            path: (mode, unpacked(text))
            for path, mode, text in zip(given[::3], given[1::3], given[2::3], strict=True)
        }


@dataclass(frozen=True)
class Reply:
    """What a host says to a command; ``broken`` is how the connection ends instead."""

    stdout: Sequence[str] = ()
    stderr: Sequence[str] = ()
    ok: bool = True
    broken: Exception | None = None


@dataclass
class Node:
    """
    One host's side.

    ``states`` are its answers to the node's fact (or the control host's): before anything was done,
    after one command, and so on, the last one for good; with ``each_read`` the next one at every
    reading. ``replies`` is what it says to other commands and facts by kind, success without a word
    where there is none. ``refuses`` is why nobody gets in anew, None if one does.
    """

    states: Sequence[Sequence[str] | Reply]
    replies: Mapping[str, Reply] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    each_read: bool = False
    refuses: str | None = None

    def kinds(self) -> list[str]:
        """What was sent, in order."""
        return [item.kind for item in self.sent]

    def acted(self) -> list[str]:
        """What was sent to do something, in order."""
        return [kind for kind in self.kinds() if kind not in FACTS]

    def of(self, kind: str) -> Sent:
        """The one command of this kind."""
        (found,) = (item for item in self.sent if item.kind == kind)
        return found

    def run(
        self, command: object, *, anew: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        """Stands for the connector's ``run_shell_command``."""
        text = str(command)
        kind = next((kind for kind, mark in MARKS.items() if _quoted(mark) in text), text)
        stdin, sudo = arguments.get("_stdin"), bool(arguments.get("_sudo"))
        self.sent.append(Sent(kind, _PACKED.sub(_unpacked, text), stdin, sudo, anew))
        well = Reply([END_OF_SOURCE] if kind == "source" else ())
        reply = self._state() if kind in STATES else self.replies.get(kind, well)
        if reply.broken:
            raise reply.broken
        lines = [OutputLine("stdout", line) for line in reply.stdout]
        lines += [OutputLine("stderr", line) for line in reply.stderr]
        return reply.ok, CommandOutput(lines)

    def put(self, source: str, target: str, **_arguments: Any) -> bool:
        """Stands for the connector's ``put_file``."""
        self.sent.append(Sent("upload", repr(FileUploadCommand(source, target))))
        return self.replies.get("upload", Reply()).ok

    def connection(self, _state: State, _host: Host) -> "Connection":
        """Stands for the connector's class."""
        return Connection(self)

    def _state(self) -> Reply:
        reads = sum(kind in STATES for kind in self.kinds())
        acted = sum(kind not in (*FACTS, *CONNECTING) for kind in self.kinds())
        at = reads - 1 if self.each_read else acted
        state = self.states[min(at, len(self.states) - 1)]
        return state if isinstance(state, Reply) else Reply(state)


@dataclass
class Connection:
    """Another connection to a node than that of the run."""

    node: Node

    def connect(self) -> None:
        """Get in, or not."""
        self.node.sent.append(Sent("connect", anew=True))
        if self.node.refuses:
            raise ConnectError(self.node.refuses)

    def run_shell_command(self, command: object, **arguments: Any) -> tuple[bool, CommandOutput]:
        """What the node says to it."""
        return self.node.run(command, anew=True, **arguments)

    def disconnect(self) -> None:
        """Be gone."""
        self.node.sent.append(Sent("disconnect", anew=True))


class Fleet:
    """Hosts by name, connected, and operations on all of them."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        *,
        prepare: bool = True,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
        override: Mapping[str, Any] | None = None,
        limit: str | None = None,
        **config: Any,
    ) -> None:
        hosts = [(f"@fake/{name}", {"fake_delay": 0, **node.data}) for name, node in nodes.items()]
        settings = Config(TEMP_DIR="/var/tmp", **config)
        names = [name for name, _ in hosts]
        members = {group: (names, dict(data)) for group, data in (groups or {}).items()}
        inventory = Inventory((hosts, {}), override_data=dict(override or {}), **members)
        limited = [inventory.get_host(f"@fake/{limit}")] if limit else None
        self.state = State(inventory, settings, initial_limit=limited, check_for_changes=prepare)
        for name, node in nodes.items():
            host: Any = self.host(name)
            host.connector.run_shell_command = node.run
            host.connector.put_file = node.put
            host.connector_cls = node.connection
        self.meta: dict[str, OperationMeta] = {}
        connect_all(self.state)
        self.state.set_stage(StateStage.Prepare)  # which only its command line does by itself

    def host(self, name: str) -> Host:
        """The host of this name."""
        found = self.state.inventory.get_host(f"@fake/{name}")
        assert found
        return found

    def add(
        self, operation: Callable[..., Any], *arguments: Any, **named: Any
    ) -> dict[str, OperationMeta]:
        """Prepare an operation on every host that has not failed; what it said by host."""
        metas = add_op(self.state, operation, *arguments, **named)
        return {host.name.removeprefix("@fake/"): meta for host, meta in metas.items()}

    def deploy(self, function: Callable[..., Any]) -> None:
        """Prepare a deploy on every host."""
        add_deploy(self.state, function)

    def run(self) -> None:
        """Execute what was prepared."""
        run_ops(self.state)

    def done(self, operation: Callable[..., Any], *arguments: Any, **named: Any) -> "Fleet":
        """Prepare an operation and execute it; ``meta`` is what it said by host."""
        self.meta = self.add(operation, *arguments, **named)
        self.run()
        return self

    def deployed(self, function: Callable[..., Any]) -> "Fleet":
        """Prepare a deploy and execute it."""
        self.deploy(function)
        self.run()
        return self

    def failed(self) -> set[str]:
        """The hosts that have failed."""
        hosts = self.state.activated_hosts - self.state.active_hosts
        return {host.name.removeprefix("@fake/") for host in hosts}


def done_by(deploy: Callable[..., Any], node: Node, **fleet: Any) -> list[str]:
    """What a deploy does on a node that it must not fail; ``fleet``: as ``Fleet`` takes it."""
    ran = Fleet({"a": node}, **fleet).deployed(deploy)
    assert ran.failed() == set()
    return node.acted()


def _quoted(text: str) -> str:
    """``text`` as it looks inside an argument in single quotes."""
    return text.replace("'", "'\"'\"'")
