"""A build is in no sandbox, as its own step sees it, and the audit says who builds."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.node.audits import audit, sh
from tests.node.running import Fleet
from tests.node.story import ENDS
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

GVISOR_KERNEL = "#1 SMP Sun Jan 10 15:06:54 PST 2016"  # of every release
FILE = "/etc/docker/daemon.json"
SAID = "builds-unsandboxed image builds"
LOG = "/var/lib/docker/buildkit/executor/runc-log.json"

# An image with a shell of its own: a step of a build is given no mounts of the node.
_IMAGE = r"""
set -eu
mkdir -p /root/tree/bin /root/tree/proc /root/tree/sys /root/tree/dev /root/tree/etc
cp -L /usr/bin/sh /usr/bin/uname /root/tree/bin/
for file in $(ldd /usr/bin/sh /usr/bin/uname | grep -o '/[^ ]*so[^ ]*' | sort -u); do
    mkdir -p "/root/tree${file%/*}"
    cp -L "$file" "/root/tree$file"
done
tar -C /root/tree -c . | docker import - build:1 > /dev/null
rm -rf /root/tree
"""
# BuildKit as Docker's API has it: its command needs a plugin for that, which Debian has apart.
_BUILD = r"""
set -eu
mkdir -p /root/context
printf '%s\n' 'FROM build:1' 'RUN uname -v > /seen' > /root/context/Dockerfile
tar -C /root/context -c . > /root/context.tar
perl -e '
    my $tar = do { local (@ARGV, $/) = "/root/context.tar"; <> };
    socket(my $s, 1, 1, 0) or die; connect($s, pack("S a*", 1, "/var/run/docker.sock")) or die;
    my $head = "POST /build?version=2&nocache=1&t=built:1 HTTP/1.0\r\nHost: docker\r\n";
    $head .= "Content-Type: application/x-tar\r\nContent-Length: " . length($tar) . "\r\n\r\n";
    syswrite $s, $head;
    syswrite $s, $tar;
    local $/; print STDERR <$s>;
'
rm -r /root/context /root/context.tar
container=$(docker create --runtime=runc built:1 true)
docker cp "$container:/seen" - | tar -x -O
docker rm "$container" > /dev/null
"""


@pytest.fixture(params=ENDS)
def name(request: pytest.FixtureRequest, converged: dict[str, LabNode]) -> Iterator[str]:
    """A node on which an image can be built; afterwards none ever was."""
    found: str = request.param
    sh(converged[found], _IMAGE)
    yield found
    sh(converged[found], f"docker rmi -f built:1 build:1 && rm -f {LOG}")
    prune(converged[found])


@contextmanager
def default_runtime(node: LabNode, runtime: str) -> Iterator[None]:
    """What containers run under that ask for nothing."""
    first = f'0,/{{/s//{{ "default-runtime": "{runtime}",/'
    sh(node, f"cp -a {FILE} /root/kept && sed -i '{first}' {FILE} && systemctl reload docker")
    try:
        yield
    finally:
        back = f"cat /root/kept > {FILE} && rm /root/kept && systemctl reload docker && sleep 1"
        sh(node, back)


def prune(node: LabNode) -> None:
    """Empty Docker's build cache."""
    sh(node, "docker builder prune --all --force")


def test_a_build_is_on_the_nodes_own_kernel_whatever_the_default_and_is_told_until_it_is_pruned(
    fleet: Fleet, name: str
) -> None:
    node = fleet.nodes[name]

    with default_runtime(node, "runsc"):
        in_container = sh(node, "sleep 1; docker run --rm build:1 uname -v")
        in_build = sh(node, _BUILD)
    built = audit(fleet, name)
    prune(node)
    pruned = audit(fleet, name)

    assert in_container.strip() == GVISOR_KERNEL
    assert in_build == sh(node, "uname -v")
    assert built.outcome.code == pruned.outcome.code == 0, built.outcome.text
    if name == "docker-20":
        assert built.found[SAID]["severity"] == pruned.found[SAID]["severity"] == "low"
        assert "Docker 20.10.24" in built.found[SAID]["evidence"]
    else:
        assert built.found[SAID]["severity"] == "medium"
        assert "records in Docker's build cache, last used 20" in built.found[SAID]["evidence"]
        assert SAID not in pruned.found
