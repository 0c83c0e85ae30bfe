"""Names as Docker has them, for sandboxes with a network stack of their own."""

import re

import pytest

from tests.node.audits import sh
from tests.node.names_nodes import (
    ADDRESS,
    ADDRESS6,
    COMPOSED,
    KINDS,
    PAIRED,
    PUBLISHED,
    UNIT,
    Ground,
    probe,
)
from tests.node.names_story import RUN, NamesStory, by_name, expected, tell
from tests.node.seeing import processes
from tests.node.watching import within
from tests.table import table


@pytest.fixture(scope="module")
def told(names: Ground) -> NamesStory:
    """The roll-out, done before anything else here has touched a node."""
    return tell(names)


@pytest.mark.parametrize("name", RUN)
@table(
    "kind",
    {
        "by-name-and-alias": "tcp",
        "by-ipv6": "tcp6",
        "names-outside-and-of-other-networks": "name",
        "what-does-not-fit-into-a-packet": "ask",
        "names-of-addresses": "back",
    },
)
def test_every_container_has_the_names_that_docker_gives(
    told: NamesStory, name: str, kind: str
) -> None:
    found, known = (
        {
            item: {what: came for what, came in asked[item].items() if what.startswith(f"{kind}/")}
            for item in (*PAIRED["red"], *PAIRED["blue"])
        }
        for asked in (told.came[name], expected(told.addresses[name]))
    )

    assert found == known


@pytest.mark.parametrize("name", RUN)
def test_services_on_an_internal_network_know_each_other_and_nobody_else(
    told: NamesStory, name: str
) -> None:
    found, known = (
        {item: asked[item] for item in COMPOSED}
        for asked in (told.came[name], expected(told.addresses[name]))
    )

    assert found == known


@pytest.mark.parametrize("name", RUN)
def test_options_for_dns_are_kept_in_a_container_that_is_read_only(
    told: NamesStory, name: str
) -> None:
    text = sh(told.ground.nodes[name], "docker exec options cat /etc/resolv.conf")

    words = {line for line in text.splitlines() if line and not line.startswith("#")}
    assert words == {
        f"nameserver {ADDRESS}",
        f"nameserver {ADDRESS6}",
        "search outside.test",
        "options ndots:2",
    }
    assert told.came[name]["options"] == expected(told.addresses[name])["options"]


@pytest.mark.parametrize("name", RUN)
def test_on_the_default_bridge_there_are_no_names_as_ever(told: NamesStory, name: str) -> None:
    text = sh(told.ground.nodes[name], "docker exec bridged cat /etc/resolv.conf")

    assert ADDRESS not in text
    assert told.came[name]["bridged"] == expected(told.addresses[name])["bridged"]


# Both count what the container sends from the host's kernel to another one's port 80.
_COUNT = """
set -eu
inside="nsenter --net=/proc/$1/ns/net"
$inside iptables -I OUTPUT -p tcp --dport 80
docker exec "$2" python3 -c 'import socket; socket.create_connection(("blue-runc", 80)).recv(9)'
$inside iptables -nvxL OUTPUT | sed -n 's/^ *\\([0-9]*\\) .* dpt:80.*/\\1/p'
$inside iptables -D OUTPUT -p tcp --dport 80
"""


@pytest.mark.parametrize("name", RUN)
def test_only_with_a_stack_of_its_own_no_packet_is_made_by_the_hosts_kernel(
    told: NamesStory, name: str
) -> None:
    node = told.ground.nodes[name]
    running = processes(node)

    found = {}
    for kind in ("runsc", "gvisor"):
        container = f"blue-{kind}"
        ran = sh(node, _COUNT, str(running[container]), container)
        found[kind] = int(ran)

    assert found["runsc"] > 0
    assert found["gvisor"] == 0


@pytest.mark.parametrize("name", RUN)
def test_published_ports_are_reached_from_outside(told: NamesStory, name: str) -> None:
    outside = told.ground.outside(name)
    where = told.ground.nodes[name].address

    found = probe(outside, [f"tcp/{where}/{port}" for port in PUBLISHED.values()])

    assert tuple(found.values()) == tuple(PUBLISHED)


@pytest.mark.parametrize("name", RUN)
def test_a_container_has_names_from_its_first_moment_on(told: NamesStory, name: str) -> None:
    targets = by_name("tcp", PAIRED["red"])
    options = ("--network=red", "--runtime=gvisor", "-v", "/usr:/usr:ro", "names:1")

    found = probe(told.ground.nodes[name], targets, "docker", "run", "--rm", *options)

    assert found == targets


# Whoever is stopped has another address when it comes back: a stand-in takes its own meanwhile.
_MOVE = """
set -eu
docker stop -t 0 "$1" > /dev/null
docker run -d --rm --name stand-in --network=red --ip="$2" -v /usr:/usr:ro names:1 \\
    sleep infinity > /dev/null
docker start "$1" > /dev/null
docker rm -f stand-in > /dev/null
"""


@pytest.mark.parametrize("moved", ["red-runc", "red-gvisor"])
@pytest.mark.parametrize("name", RUN)
def test_names_are_right_after_a_restart_of_either_side(
    told: NamesStory, names: Ground, name: str, moved: str
) -> None:
    node = names.nodes[name]
    asking = next(f"red-{kind}" for kind in KINDS if f"red-{kind}" not in (moved, "red-runsc"))
    before = names.probe(name, asking, [f"name/{moved}"])

    sh(node, _MOVE, moved, before[f"name/{moved}"])

    after = names.probe(name, asking, [f"name/{moved}"])
    assert after != before
    # It has to begin to listen, and who asks to forget whose hardware address that was before.
    assert within(90, lambda: names.resolves(name, asking, moved))
    assert names.resolves(name, moved, asking)
    assert names.resolves(name, "options", moved)


def test_a_dry_run_changes_nothing_and_says_what_it_would(told: NamesStory) -> None:
    assert told.dry.code == 0, told.dry.text
    assert told.dry_changed == ()
    for name in RUN:
        queries = f"answer DNS queries of sandboxes at {ADDRESS} port 53, as Docker does"
        said = re.compile(rf"\[{name}\] +{re.escape(queries)}")
        assert said.search(told.dry.text)
        assert said.search(told.rolled_out.text)


def test_a_second_run_changes_nothing_and_costs_a_channel(told: NamesStory) -> None:
    assert told.second.idle
    assert told.second_changed == ()
    assert set(told.channels.values()) == {1}


@pytest.mark.parametrize("name", RUN)
def test_no_runtime_said_of_a_container_that_its_names_may_not_resolve(
    told: NamesStory, name: str
) -> None:
    said = sh(told.ground.nodes[name], f"journalctl -q -o cat -t {UNIT}")

    assert re.findall("^[0-9a-f]{64}: .*", said, re.MULTILINE) == []
