"""A host that does not answer: it is given up in time, the others go on, and nobody hides it."""

import io
import json
import signal
import time
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped] # it is not annotated
import pytest
from gevent.event import Event  # type: ignore[import-untyped] # as above
from pyinfra.api import StringCommand

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.facts import deadline
from pyinfra_gvisor.run_support.installing import Progress
from tests.arguments import Data, Log, Patch
from tests.cases.cli import CHECKOUT, fake, interrupted, inventory
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import proven_answer
from tests.table import table

AUDIT = CHECKOUT / "deploys" / "audit.py"
FROZEN_S = 60
GIVEN_UP = "no answer within 3 s in the step 'Check the node', so the connection was closed"


def proven(*, delay_s: float = 0, **data: Any) -> Data:
    """The data of a proven host whose answers take so long."""
    return {**fake(proven_answer()), "fake_delay": delay_s, "gvisor_report_dir": "reports", **data}


WAITS = {"gvisor_restart_wait_s": 0, "gvisor_apply_timeout_s": 1}
FROZEN = proven(delay_s=FROZEN_S, gvisor_host_timeout_s=3, **WAITS)


def files(directory: Path, **hosts: Data) -> None:
    """An inventory with these hosts, and an old report of all of them."""
    (directory / "config.py").write_text((CHECKOUT / "config.py").read_text())
    (directory / "run.py").write_text(inventory(run=hosts))
    (directory / "reports").mkdir()
    (directory / "reports" / "fleet.json").write_text('{"old": true}')


def errors(directory: Path) -> dict[str, str | None]:
    """Why each host of the fleet's report has none of its own."""
    report = json.loads((directory / "reports" / "fleet.json").read_text())
    return {item["host"].removeprefix("@fake/"): item["error"] for item in report["hosts"]}


@table("options", barriers=("-y",), no_wait=("-y", "--no-wait"))
def test_a_frozen_host_is_given_up_and_no_other(options: tuple[str, ...], tmp_path: Path) -> None:
    files(tmp_path, a=proven(), frozen=FROZEN, b=proven())

    code, written = interrupted(tmp_path, "run.py", AUDIT, *options)

    assert code == 1
    assert f"[@fake/frozen] connection: ssh on @fake/frozen: {GIVEN_UP}" in written
    assert "no answer: @fake/frozen" in written
    assert "2 of 3 hosts compliant" in written
    assert errors(tmp_path) == {"a": None, "b": None, "frozen": GIVEN_UP}


def test_it_is_asked_nothing_more(monkeypatch: Patch, caplog: Log) -> None:
    monkeypatch.setattr(deadline, "host_timeout_s", lambda _get: 0.5)
    frozen, good = Node([proven_answer()]), Node([proven_answer()])
    hosts = Fleet({"frozen": frozen, "good": good})
    answer = frozen.run

    def freeze(*arguments: Any, **named: Any) -> Any:
        gevent.sleep(FROZEN_S)
        return answer(*arguments, **named)

    hosts.host("frozen").connector.run_shell_command = freeze  # type: ignore[method-assign]
    began_s = time.monotonic()

    hosts.deploy(run_node)
    hosts.run()

    assert time.monotonic() - began_s < FROZEN_S / 2
    assert hosts.failed() == {"frozen"}
    assert frozen.sent == []
    assert caplog.text.count("so the connection was closed") == 2, "said, and why it is refused"


def test_what_the_run_waits_for_is_told(monkeypatch: Patch, caplog: Log) -> None:
    monkeypatch.setattr(deadline, "FIRST_TOLD_S", 0.5)
    data = {**FROZEN, "gvisor_host_timeout_s": 2}  # nothing checks it here
    nodes = {f"run-{number}": Node([proven_answer()], data=data) for number in range(7)}
    fleet = Fleet(nodes)
    hosts = [fleet.host(name) for name in nodes]
    for host in hosts:
        host.connector.run_shell_command = lambda *_, **__: gevent.sleep(FROZEN_S)  # type: ignore[method-assign]
        deadline.limit(host)

    ran = [gevent.spawn(host.run_shell_command, "true") for host in hosts]

    assert {greenlet.get()[0] for greenlet in ran} == {False}
    (line, *_) = [line for line in caplog.messages if "waiting for" in line]
    assert line.endswith("and 2 more: Read the node's state: 1 s; given up after 2 s")


@table("stuck, arrives", slow=(False, True), stuck=(True, False))
def test_a_stuck_upload_is_given_up(monkeypatch: Patch, stuck: bool, arrives: bool) -> None:
    monkeypatch.setattr(deadline, "host_timeout_s", lambda _get: 0.5)
    host = Fleet({"a": Node([proven_answer()])}).host("a")

    def put(file: Any, _remote: str) -> bool:
        while file.read(1):
            gevent.sleep(0.1)
        gevent.sleep(FROZEN_S if stuck else 0)
        return True

    host.connector.put_file = put  # type: ignore[method-assign]
    deadline.limit(host)
    file = Progress(io.BytesIO(bytes(8)), 8, host, "gvisor.tar.bz2")

    assert host.put_file(file, "/tmp/x") is arrives

    assert (deadline.given_up(host) is None) is arrives


@table("kind, ends", download=(deadline.Download, True), other=(StringCommand, False))
def test_a_download_by_the_node_ends_by_itself(
    monkeypatch: Patch, kind: type[StringCommand], ends: bool
) -> None:
    monkeypatch.setattr(deadline, "host_timeout_s", lambda _get: 0.2)
    host = Fleet({"a": Node([proven_answer()])}).host("a")
    answered = host.connector.run_shell_command

    def slow(*arguments: Any, **named: Any) -> Any:
        gevent.sleep(0.5)
        return answered(*arguments, **named)

    host.connector.run_shell_command = slow  # type: ignore[method-assign]
    deadline.limit(host)

    assert host.run_shell_command(kind("true"))[0] is ends


class Ssh:
    """A paramiko client, and its transport, of a server that answers so often."""

    def __init__(self, answers: int) -> None:
        self.answers, self.closed = answers, Event()

    def get_transport(self) -> "Ssh":
        """Return itself."""
        return self

    def is_active(self) -> bool:
        """Return True as long as nobody has closed it."""
        return not self.closed.is_set()

    def global_request(self, _kind: str, *, wait: bool) -> None:
        """Wait without end once there is no answer left."""
        self.answers -= 1
        if wait and self.answers < 0:
            gevent.sleep(FROZEN_S)

    def close(self) -> None:
        """End the command that runs."""
        self.closed.set()


@table("broken", command=False, transfer=True)
@table("answers, ends", silent=(2, True), busy=(99, False))
def test_a_silent_ssh_server_is_given_up_early_and_a_busy_node_is_not(
    monkeypatch: Patch, answers: int, ends: bool, broken: bool
) -> None:
    monkeypatch.setattr(deadline, "ASK_EVERY_S", 0.1)
    monkeypatch.setattr(deadline, "SILENT_S", 0.3)
    host = Fleet({"a": Node([proven_answer()])}).host("a")
    ssh = Ssh(answers)

    def command() -> bool:
        ssh.closed.wait(1.5)
        if broken and ssh.closed.is_set():
            raise EOFError
        return True

    connector: Any = host.connector
    connector.client, connector.put_file = ssh, command
    deadline.limit(host)

    assert host.put_file() is not ends

    why = deadline.given_up(host)
    assert ("no answer of its ssh server within 0.3 s" in str(why)) is ends


def test_ctrl_c_ends_a_run_at_once_with_a_report_of_every_host(tmp_path: Path) -> None:
    files(tmp_path, a=proven(), frozen=proven(delay_s=FROZEN_S))

    code, written = interrupted(tmp_path, "run.py", AUDIT, "-y", after="a: compliant")

    assert code == 128 + signal.SIGINT
    assert "not finished: @fake/frozen" in written
    why = "the run ended before this host was checked; run again"
    assert errors(tmp_path) == {"a": None, "frozen": why}


@pytest.mark.parametrize("deploy", ["audit", "gvisor"])
def test_a_run_that_reaches_no_host_leaves_no_old_report(deploy: str, tmp_path: Path) -> None:
    away = {"ssh_hostname": "127.0.0.1", "ssh_port": 1, "gvisor_report_dir": "reports"}
    files(tmp_path)
    (tmp_path / "run.py").write_text(f"run = [('away', {away!r})]\n")

    code, written = interrupted(tmp_path, "run.py", AUDIT.with_name(f"{deploy}.py"), "-y")

    assert code == 1
    assert "--> Summary: 0 of 1 host reached\n" in written
    assert "not reached: away" in written
    assert errors(tmp_path) == {"away": "no connection, so nothing is known of this host"}
