"""A trial tells what happens to a container in gVisor, and leaves neither a trace nor a secret."""

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.apps.outlook import outlooks
from pyinfra_gvisor.apps.seen import apps_script, parse_apps
from pyinfra_gvisor.node import parse_node, state_script
from pyinfra_gvisor.proof.script import within_script
from pyinfra_gvisor.report.trials import Trial
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.trials.asked import Asked, asked_trial, find_app
from pyinfra_gvisor.trials.judged import trial
from pyinfra_gvisor.trials.script import limit_s, trial_script
from tests.node.audits import sh
from tests.node.containers import must, remove_containers, start_container
from tests.node.running import CURRENT, Fleet, no_leftovers
from tests.node.seeing import snapshot
from tests.node.watching import within
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

NODE = "plain"
PREFIX = "tried-"
SECONDS = 2
SECRET, WORD, PLAIN = "hunter2-of-env", "t0pSecretWord", "kept-of-env"
SETTINGS = Settings.model_validate({"gvisor_runtimes": {"runsc": {}}})
GVISOR = "uname -v | grep -q 'Jan 10 15:06:54 PST 2016'"  # what its kernel says of itself
SERVER = "import socket, time; s = socket.create_server(('', 8080)); time.sleep(999)"
PACKET = "import socket, time; s = socket.socket(17, 3, 8); time.sleep(999)"
TELLS = f"""
{GVISOR} && echo "error 17: cannot log in with $PASSWORD, $PLAIN and $2"
sleep 999
"""
# By container: options of docker run, and its command.
APPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "works": (("--publish=8080:8080", "--label=ours=1"), ("python3", "-c", SERVER)),
    "fails": ((), ("python3", "-c", PACKET)),
    "alone": (
        ("--volume=tried-data:/data",),
        ("sh", "-c", "test -e /data/there || exit 7; sleep 999"),
    ),
    "secret": (
        (f"--env=PASSWORD={SECRET}", f"--env=PLAIN={PLAIN}", "--memory=64m"),
        ("sh", "-c", TELLS, "sh", "--token", WORD),
    ),
}
RUNNING = "docker ps -q --filter label=pyinfra-gvisor.probe"
# Files and records that a trial might write; what Docker keeps of the container itself is no trace.
TRACES = """
cd /
for text; do
    grep -rlF -e "$text" -D skip run tmp var/tmp var/log etc opt/gvisor var/lib/pyinfra-gvisor \\
        root var/lib/docker/containers | grep -v "/$id/"
    journalctl --no-pager | grep -F -e "$text"
done
true
"""


@pytest.fixture(scope="module")
def node(brought: dict[str, LabNode]) -> Iterator[LabNode]:
    """A node on which these containers run under runc."""
    node = brought[NODE]
    start_container(node, f"{PREFIX}image")  # makes the image
    data = sh(
        node,
        "docker volume create tried-data && docker volume inspect tried-data -f '{{.Mountpoint}}'",
    )
    must(node, "touch", f"{data.split()[-1]}/there")
    given = ("docker", "run", "-d", "--runtime=runc", "-v", "/usr:/usr:ro")
    try:
        for name, (options, command) in APPS.items():
            must(node, *given, f"--name={PREFIX}{name}", *options, "test:1", *command)
        yield node
    finally:
        remove_containers(node, f"^/{PREFIX}")
        sh(node, "docker volume rm tried-data")


def script_of(node: LabNode, name: str) -> tuple[Asked, str]:
    """A trial and its script."""
    state = parse_node(sh(node, state_script()).splitlines())
    found = parse_apps(sh(node, apps_script()).splitlines())
    told = outlooks(NODE, state, SETTINGS, found)
    asked = asked_trial(find_app(PREFIX + name, found), told, SECONDS, control=False)
    return asked, trial_script(asked, state, SETTINGS)


def tried(node: LabNode, name: str) -> Trial:
    """What a trial tells that runs to its end."""
    asked, text = script_of(node, name)
    printed = must(node, "sh", "-c", within_script(limit_s(SECONDS)), "sh", text)
    assert no_leftovers(node) == ""
    return trial(NODE, printed.splitlines(), asked)


def test_an_app_that_works_is_tried_without_its_port_and_is_left_as_it_is(node: LabNode) -> None:
    before = snapshot(node)

    found = tried(node, "works")

    assert found.told == f"works alone for {SECONDS} s"
    assert found.control
    assert found.twin.ports == found.control.ports == (8080,)
    assert snapshot(node) == before


def test_what_fails_is_told_with_its_remedy(node: LabNode) -> None:
    found = tried(node, "fails")

    assert found.verdict == "fails here"
    assert "; the control ran to the end" in found.why[0]
    assert [item.rule for item in found.rules] == ["raw-socket"]
    assert found.todo == (f"{found.rules[0].what}. {found.rules[0].todo}",)
    assert "Operation not permitted" in "\n".join(found.news)


def test_nothing_is_known_of_what_fails_under_runc_too(node: LabNode) -> None:
    found = tried(node, "alone")

    assert (found.verdict, found.empty) == ("not known", ("/data",))
    assert "the control fails, too: it ended with code 7" in found.why[0]


def test_secrets_are_neither_told_nor_left(node: LabNode, fleet: Fleet) -> None:
    data = {**CURRENT, "trial_app": f"{PREFIX}secret", "trial_seconds": SECONDS}

    ran = fleet.deploy(NODE, data=data, deploy="deploys/trial.py")

    own = must(node, "docker", "inspect", "-f", "{{.Id}}", f"{PREFIX}secret").strip()
    traces = sh(node, f"id={own}\n{TRACES}", SECRET, WORD, PLAIN)
    assert "new in its log: error N cannot log in with ***, *** and ***" in ran.stderr
    assert not [text for text in (SECRET, WORD, PLAIN) if text in ran.text]
    assert traces == ""


def test_of_a_killed_trial_nothing_runs_on_and_nothing_is_left_after_the_next(
    node: LabNode,
) -> None:
    _, text = script_of(node, "secret")
    text = text.replace(f"seconds={SECONDS}\n", "seconds=99\n")
    begun = 'sh -c "$1" sh "$2" > /dev/null 2>&1 & echo $! > /run/trying'
    must(node, "sh", "-c", begun, "sh", within_script(limit_s(99)), text)
    assert within(30, lambda: node.exec("sh", "-c", RUNNING).stdout)
    told = sh(node, "ps -eo args | grep -e '[p]erl -e' -e '[d]ocker '")
    assert not [text for text in (SECRET, WORD, PLAIN) if text in told]

    sh(node, "pid=$(cat /run/trying); kill -9 $(pgrep -P $pid) $pid")

    assert within(20, lambda: not node.exec("sh", "-c", RUNNING).stdout)
    assert tried(node, "works").verdict == "works alone"
