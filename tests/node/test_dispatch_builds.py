"""Image builds with ``sandbox-all``: every step is in gVisor, and works as before."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.audits import sh
from tests.node.dispatching import KINDS, NEWEST, Ground
from tests.node.running import processes
from tools.lab import LabNode

ALL: dict[str, Any] = {"default": "sandbox-all"}
# The command of Docker 20.10 has BuildKit's client in it; later ones need a plugin for it.
CLIENT = "/root/docker-of-20"
WITH_BUILDKIT = f"DOCKER_BUILDKIT=1 BUILDKIT_PROGRESS=plain {CLIENT} build --no-cache"
CLASSIC = f"DOCKER_BUILDKIT=0 {CLIENT} build --no-cache"
STEPS = """
FROM busybox:1
RUN echo kernel: $(uname -v)
RUN --mount=type=cache,target=/cache echo one >> /cache/file
RUN --mount=type=cache,target=/cache echo two >> /cache/file; echo cache: $(cat /cache/file)
RUN --mount=type=tmpfs,target=/memory echo x > /memory/file && echo memory: $(cat /memory/file)
RUN --mount=type=secret,id=word echo secret: $(cat /run/secrets/word)
RUN --mount=type=bind,source=file,target=/bound echo bound: $(cat /bound)
COPY file /file
RUN echo copied: $(cat /file); mkdir /owned && chown 1000:1000 /owned
USER 1000:1000
RUN echo user: $(id -u); touch /owned/file
RUN echo network: $(grep -c eth0 /proc/net/dev)
"""
SEEN = {
    "kernel": GVISOR_KERNEL,
    "cache": "one two",
    "memory": "x",
    "secret": "hidden",
    "bound": "content",
    "copied": "content",
    "user": "1000",
    "network": "1",
}
LEFT = """
ls /run/pyinfra-gvisor/builds /run/runc
ls /var/lib/docker/buildkit/executor | grep -v -e resolv -e log
grep buildkit /proc/self/mountinfo; ls -d /sys/fs/cgroup/*/docker/buildkit/*/ 2> /dev/null
cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o '[r]oot=/run/pyinfra-gvisor/builds' || :
"""
# What a client of Docker forwards to a step that asks for it.
AGENT = """
socket(my $agent, 1, 1, 0);
bind($agent, pack("S a*", 1, "/root/agent"));
listen($agent, 9);
sleep 60;
"""
ASKS = """perl -e 'socket(my $s, 1, 1, 0); \\
    print connect($s, pack("S a*", 1, $ENV{SSH_AUTH_SOCK})) ? "connected" : $!, "\\n"'"""
PERL = """
for file in /usr/bin/perl $(ldd /usr/bin/perl | grep -o '/[^ ]*'); do
    mkdir -p "/root/context/perl${file%/*}"
    cp -L "$file" "/root/context/perl$file"
done"""


@pytest.fixture(scope="module")
def building(dispatch: Ground) -> Iterator[dict[str, LabNode]]:
    """Nodes where builds are in the sandbox; afterwards runc is runc."""
    dispatch.deploy(*KINDS, **ALL)
    client = dispatch.nodes["docker-20"].read("/usr/bin/docker")
    for kind in KINDS:
        dispatch.nodes[kind].put(CLIENT, client, mode=0o755)
        sh(dispatch.nodes[kind], "mkdir -p /root/context; echo content > /root/context/file")
    yield dispatch.tried
    for kind in KINDS:
        sh(
            dispatch.nodes[kind],
            f"docker builder prune -af > /dev/null; rm -rf {CLIENT} /root/context",
        )
    dispatch.deploy(*KINDS, default="sandbox")


def build(node: LabNode, dockerfile: str, *options: str, how: str = WITH_BUILDKIT) -> Any:
    """Build an image on a node."""
    node.put("/root/context/Dockerfile", dockerfile.encode())
    return node.exec("sh", "-c", f"cd /root/context && {how} {' '.join(options)} . 2>&1")


def left(node: LabNode) -> list[str]:
    """Return what is on the node of builds that have ended."""
    return node.exec("sh", "-c", LEFT).stdout.splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_step_works_in_gvisor_and_leaves_nothing(
    building: dict[str, LabNode], kind: str
) -> None:
    node = building[kind]
    sh(node, "echo hidden > /root/word")
    build(node, "FROM busybox:1\nRUN true\n")
    before = left(node)

    built = build(node, STEPS, "--secret id=word,src=/root/word", "-t built:1")
    seen = dict(re.findall(r"^#[0-9]+ [0-9.]+ ([a-z]+): (.*)$", built.stdout, re.MULTILINE))

    assert built.code == 0, built.stdout
    assert seen == SEEN
    owned = "docker run --rm --runtime runsc built:1 stat -c '%u %s' /owned/file"
    assert sh(node, f"{owned}; docker rmi built:1 > /dev/null").split() == ["1000", "0"]
    assert left(node) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_fails_tells_its_exit_code(building: dict[str, LabNode], kind: str) -> None:
    failing = "FROM busybox:1\nRUN uname -v; exit 42\n"

    said = {how: build(building[kind], failing, how=how).stdout for how in (WITH_BUILDKIT, CLASSIC)}

    assert "exit code: 42" in said[WITH_BUILDKIT]
    assert "returned a non-zero code: 42" in said[CLASSIC]
    assert all(GVISOR_KERNEL in text for text in said.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_build_leaves_nothing(building: dict[str, LabNode], kind: str) -> None:
    node = building[kind]
    build(node, "FROM busybox:1\nRUN true\n")
    before = (left(node), processes(node))
    waiting = "FROM busybox:1\nRUN echo waits; sleep 987\n"

    cancelled = build(node, waiting, how=f"timeout -s INT 6 env {WITH_BUILDKIT}")
    sh(node, "for n in 1 2 3 4 5; do pgrep -f '[s]leep 987' > /dev/null || break; sleep 1; done")

    assert "waits" in cancelled.stdout
    assert cancelled.code != 0
    assert (left(node), processes(node)) == before
    assert "sleep 987" not in sh(node, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; true")


@pytest.mark.parametrize("kind", KINDS)
def test_several_builds_at_once_do_not_meet(building: dict[str, LabNode], kind: str) -> None:
    node = building[kind]
    text = "FROM busybox:1\nARG N\nRUN echo $N > /n\nRUN uname -v; echo number $(cat /n)\n"
    node.put("/root/context/Dockerfile", text.encode())
    command = f"cd /root/context && {WITH_BUILDKIT} --build-arg N=%d . 2>&1"

    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(lambda n: node.exec("sh", "-c", command % n), range(3)))

    for number, one in enumerate(ran):
        assert one.code == 0, one.stdout
        assert GVISOR_KERNEL in one.stdout
        assert f"number {number}\n" in one.stdout


def test_networks_are_as_asked_but_the_nodes_own_is_refused(building: dict[str, LabNode]) -> None:
    devices = "FROM busybox:1\nRUN echo devices $(grep -c eth0 /proc/net/dev)\n"

    none, host = (
        build(building[NEWEST], devices, f"--network={name} --no-cache")
        for name in ("none", "host")
    )

    assert "devices 0" in none.stdout
    assert host.code != 0
    assert "may not have: network namespace of the node" in host.stdout


def test_an_agent_of_ssh_does_not_answer(building: dict[str, LabNode]) -> None:
    node = building[NEWEST]
    node.put("/root/agent.pl", AGENT.encode())
    sh(node, f"{PERL}; setsid perl /root/agent.pl > /dev/null 2>&1 & sleep 0.3")
    asks = f"FROM busybox:1\nCOPY perl /\nRUN --mount=type=ssh {ASKS}\n"

    built = build(node, asks, "--ssh default=/root/agent")
    sh(node, "rm -rf /root/agent /root/agent.pl /root/context/perl")

    assert built.code == 0, built.stdout
    assert re.search(r"^#[0-9]+ [0-9.]+ Connection refused$", built.stdout, re.MULTILINE)
