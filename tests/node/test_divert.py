"""
A program of ours in the place of runc: it comes, stays through faults, and goes without a trace.

The faults that are the same with every Docker are tried on one node, by the long matrix (slow): a
run that is killed, or a node that loses power, before each single step.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.audits import audit, sh
from tests.node.conftest import LAB, lab_of
from tests.node.dispatching import DIVERTING, IMAGE, Ground, in_sandbox, prepare, start
from tests.node.dispatching import ORIGINAL as DAEMON_JSON
from tests.node.running import Fleet
from tests.node.seeing import processes
from tests.node.transactions import restart_docker
from tests.table import table
from tools.lab import LabNode

KINDS = ("docker-20", "docker-26", "docker-29")
"""With the runc of Debian 12, of Debian 13, and the later one that 29 needs."""
ALL: dict[str, Any] = {"default": "sandbox-all"}
RUNC = "/usr/sbin/runc"
ASIDE = f"{RUNC}.pyinfra-gvisor"
REMOVE = "deploys/remove.py"
NAMES = ("runc", "io.containerd.runc.v2", "io.containerd.runc.v1", "x.runc.v2")
NAMES_OF_20 = ("runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux")
# What is to be there again after a removal: the file, what dpkg knows, and what units there are.
ORIGINAL = f"""
sha256sum {RUNC}; stat -c '%a %u:%g %Y %s' {RUNC}; ls /usr/sbin/runc* /usr/bin/runc*
cat /var/lib/dpkg/diversions; ls -R /etc/systemd/system; ls -d /opt/gvisor
"""
# Sandboxes that start at once mount one over the other.
STACKED = """
path=$(grep -m 1 -o '/run/[^ ]*/null-netns' /proc/self/mountinfo)
mount --bind "$path" "$path"
"""
FAULTS = {
    "missing": f"rm {RUNC}",
    "not-executable": f"chmod 644 {RUNC}",
    "empty": f": > {RUNC}",
    "damaged": f"printf 'exit 1\\n' > {RUNC}",
    "runc-itself": f"rm {RUNC}; cp -p {ASIDE} {RUNC}",
    "no-diversion": f"dpkg-divert --quiet --local --no-rename --remove {RUNC}",
}
OPEN = ("runc-itself",)  # the program is not in place, and nothing can refuse
BUNDLE = """{"ociVersion": "1.0.0",
    "process": {"args": ["/busybox", "uname", "-v"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "root": {"path": "rootfs"}, "mounts": [{"destination": "/proc", "type": "proc", "source": "p"}],
    "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}}"""
# A package like Debian's, with the symbolic link that is in it. Arguments: version, its runc, and a
# script to run after its files are there.
PACKAGE = f"""
set -eu
tree=$(mktemp -d)
trap 'rm -rf "$tree" /root/package.deb' EXIT
mkdir -p "$tree/DEBIAN" "$tree/usr/sbin" "$tree/usr/bin" "$tree/usr/share/doc/runc"
cp -p "$2" "$tree{RUNC}"
if [ -L /usr/bin/runc ]; then cp -P /usr/bin/runc "$tree/usr/bin/runc"; fi
echo "$1" > "$tree/usr/share/doc/runc/version"
printf '%s\\n' 'Package: runc' "Version: $1" "Architecture: $(dpkg --print-architecture)" \\
    'Maintainer: nobody <nobody@localhost>' 'Description: test' > "$tree/DEBIAN/control"
printf '#!/bin/sh\\n%s\\n' "${{3:-}}" > "$tree/DEBIAN/postinst"
chmod 755 "$tree/DEBIAN/postinst"
dpkg-deb -Znone --root-owner-group -b "$tree" /root/package.deb > /dev/null
dpkg -i /root/package.deb > /dev/null 2>&1
"""
KILL = "kill -9 $PPID"
# dpkg runs this to unpack a package, and it ends dpkg when half of the package is unpacked.
HALF = f"""#!/bin/sh
[ "$1" = --fsys-tarfile ] || exec /usr/bin/dpkg-deb "$@"
half=$(($(stat -c %s "$2") / 2))
/usr/bin/dpkg-deb "$@" | head -c "$half"
{KILL}
"""
# Docker's package instead of Debian's. Arguments: version, its runc, and where it has it.
PACKAGE_OF_ANOTHER = """
tree=$(mktemp -d)
mkdir -p "$tree/DEBIAN" "$tree/usr/bin"
cp -p "$2" "$tree$3"
printf '%s\\n' 'Package: containerd.io' "Version: $1" 'Architecture: all' 'Provides: runc' \\
    'Maintainer: nobody <nobody@localhost>' 'Description: test' > "$tree/DEBIAN/control"
dpkg-deb -Znone --root-owner-group -b "$tree" /root/package.deb > /dev/null
dpkg -i /root/package.deb > /dev/null 2>&1
rm -rf "$tree" /root/package.deb
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Nodes of its own, with somebody's daemon.json, that have never met us."""
    with lab_of(f"{LAB}-divert", {kind: DIVERTING[kind] for kind in KINDS}) as made:
        yield prepare(made, Fleet(made, tmp_path_factory.mktemp("divert")))


@pytest.fixture(scope="module")
def originals(ground: Ground) -> dict[str, str]:
    """What was there before, by node."""
    return {name: node.exec("sh", "-c", ORIGINAL).stdout for name, node in ground.nodes.items()}


@pytest.fixture(scope="module")
def taken(ground: Ground, originals: dict[str, str]) -> Ground:
    """Nodes where our program has the place of runc, with containers of before and after."""
    for node in ground.nodes.values():
        start(node, "before", "--restart=unless-stopped", "--runtime=runc")
    ground.deploy(*KINDS, **ALL)
    for node in ground.nodes.values():
        start(node, "after", "--restart=unless-stopped", "--runtime=runc")
    return ground


def run_of(node: LabNode, runtime: str) -> str:
    """Return what a container under a runtime sees of its kernel, or Docker's error."""
    ran = node.exec("docker", "run", "--rm", "--runtime", runtime, IMAGE, "uname", "-v")
    return ran.stdout.strip() or ran.stderr


def test_who_asks_for_runc_gets_a_sandbox_and_a_second_run_changes_nothing(taken: Ground) -> None:
    seen = {
        kind: {name: run_of(taken.nodes[kind], name) for name in names}
        for kind in KINDS
        for names in [NAMES_OF_20 if kind == "docker-20" else NAMES]
    }
    second = taken.run(*KINDS, **ALL)

    assert {told for found in seen.values() for told in found.values()} == {GVISOR_KERNEL}
    assert second.idle, second.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_of_before_stays_and_is_in_a_sandbox_after_its_restart(
    taken: Ground, kind: str
) -> None:
    node = taken.nodes[kind]
    before = (processes(node)["before"], in_sandbox(node, "before"))

    restart_docker(node)
    same = processes(node)["before"]
    sh(node, "docker restart -t 1 before && docker exec before true && docker stats --no-stream")
    after = in_sandbox(node, "before")

    assert before == (same, False)
    assert after
    assert in_sandbox(node, "after")


@pytest.mark.parametrize("kind", KINDS)
def test_under_runc_links_in_volumes_are_followed(taken: Ground, kind: str) -> None:
    permit = "/opt/gvisor/judge/permit --reason 'links of infrastructure' -- docker"
    shows = "ln -s name /d/link; echo found > /d/name; cat /d/link; uname -v"

    seen = sh(
        taken.nodes[kind],
        f"""/opt/gvisor/judge/volumes
        {permit} run --rm --runtime runc -v own:/d {IMAGE} sh -c '{shows}'
        docker volume rm own; rm /run/pyinfra-gvisor/permit-*""",
    )

    assert seen == f"safe\nfound\n{sh(taken.nodes[kind], 'uname -v')}own\n"


@pytest.mark.parametrize("kind", KINDS)
def test_others_get_runc_itself(taken: Ground, kind: str) -> None:
    node = taken.nodes[kind]
    node.put("/root/bundle/config.json", BUNDLE.encode())
    sh(node, "cd /root/bundle && mkdir -p rootfs/proc && cp /bin/busybox rootfs/")

    by_hand = sh(node, "cd /root/bundle && runc run by-hand < /dev/null")
    of_plugins = sh(
        node,
        "cd /root/bundle && runc --root /run/docker/runtime-runc/plugins.moby run p < /dev/null",
    )
    told = sh(node, f"runc --version; {ASIDE} --version; runc features | head -c 9 || true")

    assert by_hand == of_plugins == sh(node, "uname -v")
    assert told.count("runc version") == 2


# What repairs is the same with every Docker.
@pytest.mark.parametrize(("fault", "kind"), zip(FAULTS, KINDS * 2, strict=True))
def test_a_fault_starts_nothing_outside_and_the_next_start_of_dockerd_repairs_it(
    taken: Ground, fault: str, kind: str
) -> None:
    node = taken.nodes[kind]
    before = processes(node)

    sh(node, FAULTS[fault])
    during = run_of(node, "runc")
    running = processes(node)
    restart_docker(node)
    after = run_of(node, "runc")

    if fault not in OPEN:
        assert (GVISOR_KERNEL in during) == (fault == "no-diversion"), during
        assert sh(node, "uname -v").strip() not in during
    assert before == running == processes(node)
    assert after == GVISOR_KERNEL
    assert f"diversion of {RUNC} to {ASIDE}" in sh(node, f"dpkg-divert --list {RUNC}")


# What else there may be in its place is told apart without a node.
@pytest.mark.parametrize("fault", ["missing", "runc-itself", "no-diversion"])
def test_the_audit_says_so_and_a_deploy_repairs_it(taken: Ground, fault: str) -> None:
    node = taken.nodes["docker-26"]
    sh(node, FAULTS[fault])

    found = audit(taken.fleet, "docker-26", **ALL)
    taken.deploy("docker-26", **ALL)
    after = audit(taken.fleet, "docker-26", **ALL)

    expected = "runc-not-kept" if fault == "no-diversion" else "runc-not-taken"
    assert f"{expected} {RUNC}" in found.found, found.outcome.text
    assert not [key for key in after.found if key.startswith("runc-not-")]
    assert run_of(node, "runc") == GVISOR_KERNEL


@pytest.mark.parametrize("kind", ["docker-20", "docker-29"])  # with runc of two Debians
def test_its_package_is_upgraded_and_the_original_installed_again_beside_it(
    taken: Ground, kind: str
) -> None:
    node = taken.nodes[kind]
    version = sh(node, "dpkg-query -W -f '${Version}' runc")
    before = processes(node)
    sh(node, f"cp -p {ASIDE} /root/original; cp {ASIDE} /root/upgrade")
    sh(node, "echo z1 >> /root/upgrade")  # the loader ignores what follows

    for new, file in ((f"{version}+z1", "/root/upgrade"), (version, "/root/original")):
        sh(node, PACKAGE, new, file)
        sh(node, f"cmp {file} {ASIDE}")
        assert run_of(node, "runc") == GVISOR_KERNEL
        restart_docker(node)
        sh(node, f"cmp {file} {ASIDE}")
        assert run_of(node, "runc") == GVISOR_KERNEL
    sh(node, "rm /root/original /root/upgrade")

    assert processes(node) == before
    assert taken.run(kind, **ALL).idle


@table("command, script", {"half": (HALF, ""), "whole": ("", KILL)})
def test_an_upgrade_that_is_killed_is_survived_and_finished_by_the_next(
    taken: Ground, command: str, script: str
) -> None:
    """Its new file is there by half and under no name that counts, or there but not configured."""
    node, dpkg = taken.nodes["docker-26"], "/usr/local/bin/dpkg-deb"
    version = sh(node, "dpkg-query -W -f '${Version}' runc")
    before = processes(node)
    sh(node, f"cp -p {ASIDE} /root/original; cp {ASIDE} /root/upgrade; echo z2 >> /root/upgrade")
    new = ("sh", "-c", PACKAGE, "sh", f"{version}+z2", "/root/upgrade")
    if command:
        node.put(dpkg, command.encode(), mode=0o755)

    killed = node.exec(*new, script)
    half = node.exec("test", "-e", f"{ASIDE}.dpkg-new").code == 0
    during = run_of(node, "runc")
    sh(node, f"rm -f {dpkg}; cmp {ASIDE} /root/{'original' if half else 'upgrade'}")
    restart_docker(node)
    repaired = run_of(node, "runc")
    again = node.exec(*new)
    sh(node, f"cmp {ASIDE} /root/upgrade")
    after = run_of(node, "runc")
    back = node.exec("sh", "-c", PACKAGE, "sh", version, "/root/original")

    assert (killed.code != 0, half) == (True, bool(command)), killed.stderr
    assert during == repaired == after == GVISOR_KERNEL
    assert (again.code, back.code) == (0, 0), again.stderr + back.stderr
    assert sh(node, f"ls {RUNC}*; rm /root/original /root/upgrade").split() == [RUNC, ASIDE]
    assert processes(node) == before
    assert taken.run("docker-26", **ALL).idle


def test_going_back_strands_nobody_and_leaves_no_trace(
    taken: Ground, originals: dict[str, str]
) -> None:
    nodes = {kind: taken.nodes[kind] for kind in KINDS}
    kinds = tuple(nodes)
    before = {kind: processes(node) for kind, node in nodes.items()}

    refused = taken.run(*kinds, deploy=REMOVE, **ALL)
    back = taken.deploy(*kinds, default="sandbox")
    second = taken.run(*kinds, default="sandbox")
    kept = {kind: processes(node) for kind, node in nodes.items()}
    reached = {kind: in_sandbox(node, "after") for kind, node in nodes.items()}
    new = {kind: run_of(node, "runc") for kind, node in nodes.items()}
    for node in nodes.values():
        sh(node, "docker restart -t 1 before after && docker exec after true")
        sh(node, STACKED)
    bare = {kind: in_sandbox(node, "after") for kind, node in nodes.items()}
    gone = taken.deploy(*kinds, default="sandbox")
    removed = taken.run(*kinds, deploy=REMOVE)

    assert refused.code == 1
    assert "running containers use a release" in refused.text
    assert "containers run in gVisor by it: after" in back.text
    assert second.idle
    assert kept == before
    assert set(reached.values()) == {True}
    assert all("runtime runc does not use gVisor" in said for said in new.values()), new
    assert set(bare.values()) == {False}
    assert f"restore runc at {RUNC}" in gone.text
    assert removed.code == 0, removed.text
    after = {kind: node.exec("sh", "-c", ORIGINAL).stdout for kind, node in nodes.items()}
    assert after == originals
    assert {sh(node, "cat /etc/docker/daemon.json") for node in nodes.values()} == {DAEMON_JSON}


def test_another_package_of_runc_is_taken_too_and_its_upgrade_goes_beside(taken: Ground) -> None:
    """Docker's own containerd.io has runc at another path than Debian's package."""
    node, path = taken.nodes["docker-26"], "/usr/bin/runc"
    install = ("sh", "-c", PACKAGE_OF_ANOTHER, "sh")
    taken.deploy("docker-26", **ALL)
    sh(node, f"cp -p {ASIDE} /root/runc; rm {path}; dpkg -r --force-depends runc > /dev/null 2>&1")
    without = run_of(node, "runc")

    node.exec(*install, "2.0", "/root/runc", path)
    refused = run_of(node, "runc")
    restart_docker(node)
    repaired = run_of(node, "runc")
    deployed, second = taken.run("docker-26", **ALL), taken.run("docker-26", **ALL)
    seen = run_of(node, "runc")
    sh(node, "echo z1 >> /root/runc")
    upgraded = node.exec(*install, "2.1", "/root/runc", path)
    sh(node, f"cmp {path}.pyinfra-gvisor /root/runc")
    newer = run_of(node, "runc")
    restart_docker(node)
    later, third = run_of(node, "runc"), taken.run("docker-26", **ALL)
    removed = taken.run("docker-26", deploy=REMOVE, **ALL)

    assert "runc is missing: no path in" in without
    assert refused == without
    assert repaired == seen == newer == later == GVISOR_KERNEL
    assert (deployed.code, second.idle, removed.code) == (0, True, 0), deployed.text
    assert (upgraded.code, third.idle) == (0, True), third.text
    assert sh(node, "ls /usr/*bin/runc /usr/*bin/runc.*; true") == f"{path}\n"
    assert sh(node, f"cmp {path} /root/runc; grep -c runc /var/lib/dpkg/diversions; true") == "0\n"
