"""``kernel.surface`` on the real engine."""

from __future__ import annotations

from pyinfra_gvisor.operations import kernel
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE
from pyinfra_gvisor.parts.kernel.settings import Kernel
from tests.arguments import Log
from tests.cases.fleet import Fleet, Node
from tests.unit.answers import answer
from tests.unit.kernel.kernel_answers import ALL, in_force, told

WEAK = [*told(), *answer()]
STRONG = [*in_force(), *answer()]
KEY = "net.ipv4.conf.all.send_redirects"


def test_files_and_settings_go_there_in_one_command() -> None:
    nodes = {"a": Node([WEAK, STRONG])}

    fleet = Fleet(nodes).done(kernel.surface, ALL)

    assert nodes["a"].acted() == ["kernel"]
    files = nodes["a"].of("kernel").files
    modes = {path: mode for path, (mode, _) in files.items()}
    assert modes == dict.fromkeys((MODULES_FILE, SYSCTL_FILE), "644")
    assert "install cuse /bin/false\n" in files[MODULES_FILE][1]
    assert f"{KEY} 0\n" in nodes["a"].of("kernel").words[0]
    assert fleet.meta["a"].did_change()


def test_what_is_not_wanted_any_more_is_taken_back_and_then_gone() -> None:
    nodes = {"a": Node([STRONG, WEAK])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(kernel.surface, None)
    again = fleet.add(kernel.surface, None)
    fleet.run()

    assert nodes["a"].acted() == ["kernel"]
    sent = nodes["a"].of("kernel")
    assert f"gone='{MODULES_FILE}\n{SYSCTL_FILE}'" in sent.words[0]
    assert "settings=''" in sent.words[0]
    assert sent.files == {}
    assert not again["a"].did_change()


def test_a_diff_shows_both_files_as_they_change(caplog: Log) -> None:
    few = Kernel(modules=("sctp",), sysctls={KEY: None})
    nodes = {"a": Node([[*in_force(few), *answer()]])}

    Fleet(nodes, DIFF=True).add(kernel.surface, Kernel(modules=()))

    assert f"--- {MODULES_FILE}" in caplog.text
    assert "-install sctp /bin/false" in caplog.text
    assert f"--- {SYSCTL_FILE}" in caplog.text
    assert f"+{KEY} = 0" in caplog.text
    assert "-kernel.dmesg_restrict" not in caplog.text
