"""gVisor on a node: a release, runtimes that use it, and the proof that they isolate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyinfra import host, logger, state
from pyinfra.api import QuoteString, StringCommand

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.scripts import packed, script
from pyinfra_gvisor.daemon_json.records import newer
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.facts.node import forget_node
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.node.next_start import place_lines
from pyinfra_gvisor.planning.removal import LINK, plan_removal
from pyinfra_gvisor.planning.wanted import plan_without_us
from pyinfra_gvisor.proof.part import Declared
from pyinfra_gvisor.proof.verdict import fingerprint, holds, is_due
from pyinfra_gvisor.releases.local import planned
from pyinfra_gvisor.releases.pins import is_there, unpinned
from pyinfra_gvisor.releases.sources import Archive, Fetch
from pyinfra_gvisor.run_support.changes import recorded
from pyinfra_gvisor.run_support.converge import Commands, on_node, refuse
from pyinfra_gvisor.run_support.ending import is_proven, only_looks
from pyinfra_gvisor.run_support.installing import install
from pyinfra_gvisor.run_support.messages import tell, tell_detail
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import Wrapper, missing, too_old, wrappers
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR


@operation()
def release(version: str, *, archive: Archive) -> Commands:
    """
    Install a runsc release on the node, beside other releases, and check its sha512.

    + version: gVisor's release date and number, such as ``20260928.0``
    + archive: the source of the release, and the sha512 that it must have

    The download is unpacked in a directory of its own and checked: no file leaves the directory,
    and runsc is there and reports this release. Then the directory is renamed into place. A release
    whose files were changed is repaired; running containers keep their files. A release that was
    installed from other files than the pinned ones is fetched again. If a check fails, the host
    fails and nothing is changed.
    """

    def body(node: Node) -> Commands:
        if is_there(node, version, archive):
            host.noop(f"runsc {version} is there")
            return
        fetch = planned(archive, version, node.arch)
        other = unpinned(node, version, archive)
        damaged = version in node.damaged
        say = tell if other or damaged else tell_detail
        say(_coming(node, fetch, damaged=damaged, other=other))
        forget_node(host)
        yield from install(fetch, node.arch, damaged=damaged, fresh=other is not None)

    yield from on_node("gvisor.release", cut(version), body)


def _coming(node: Node, fetch: Fetch, *, damaged: bool, other: str | None) -> str:
    if other:
        why = f"the files on the node are not the pinned ones ({other})"
        return f"fetch runsc {fetch.release} again from {fetch.origin}: {why}"
    if damaged:
        why = "its files were changed after the installation"
        return f"repair runsc {fetch.release} from {fetch.origin}: {why}"
    others = f"beside {', '.join(node.releases)}" if node.releases else "(no other is installed)"
    return f"install runsc {fetch.release} from {fetch.origin} {others}"


@operation()
def runtimes(
    version: str, *, profiles: Mapping[str, Runtime], dispatch: Dispatch | None = None
) -> Commands:
    """
    Write a wrapper script for each runtime. Entries of daemon.json are the paths of these scripts.

    + version: the release that the scripts start
    + profiles: the runtimes by name
    + dispatch: how containers without a runtime are handled; None: as Docker decides

    A script is never changed: other flags or another release make another file. Before the first
    script is written, the release's runsc must accept the flags of each runtime. If runsc does not,
    the host fails and nothing is changed. Before scripts that decide where containers run or what
    they may have, this says where each container would run after its next start.
    """

    def body(node: Node) -> Commands:
        refuse(too_old(version, profiles))
        lacking = missing(node, wrappers(version, profiles, dispatch))
        if not lacking:
            host.noop("every wrapper exists")
            return
        for item in lacking:
            tell_detail(f"write {item.path}")
        _tell_places(node)
        forget_node(host)
        text = script("runtimes/install_wrappers", host=host.name, release=version)
        text = recorded(f"gvisor.runtimes: write wrappers of {version}", text)
        yield StringCommand("sh", "-c", QuoteString(text), "sh", *_arguments(lacking))

    yield from on_node("gvisor.runtimes", version, body)


def _tell_places(node: Node) -> None:
    lines = place_lines(node.places, node.containers, node.unaccepted_images, node.not_again)
    if why := node.places_error:
        tell(f"unknown where containers would run after their next start: {why}", logger.warning)
    if lines:
        tell("where containers run after their next start:")
    for line in lines:
        tell(f"  {line.text}", logger.warning if line.refused else logger.info)


def _arguments(lacking: tuple[Wrapper, ...]) -> list[QuoteString]:
    return [QuoteString(word) for item in lacking for word in (item.path, packed(item.text))]


@operation()
def link(version: str) -> Commands:
    """
    Have the link ``/usr/local/bin/runsc`` point at a release, for people who run runsc by hand.

    + version: the release

    A file of that name, or a link of somebody else, is left alone: a running sandbox of an older
    installation may need it.
    """

    def body(node: Node) -> Commands:
        target = f"{RELEASES_DIR}/{version}/runsc"
        ours = node.runsc_link is None or node.runsc_link.startswith(RELEASES_DIR + "/")
        if node.runsc_file or not ours or node.runsc_link == target:
            host.noop(f"{LINK} points at this release, or pyinfra-gvisor did not create it")
            return
        tell_detail(f"point {LINK} at {target}")
        forget_node(host)
        yield StringCommand("sh", "-c", QuoteString(script("releases/link_runsc", target=target)))

    yield from on_node("gvisor.link", LINK, body)


@operation()
def absent() -> Commands:
    """
    Have no release, no wrapper and no record of ours on the node.

    What a running sandbox runs from stays, and what an entry of daemon.json points at that is not
    ours alone or that a container uses; the records stay while a key of daemon.json is owned. The
    keys themselves are to be given back before, by ``docker.daemon_json``.
    """
    yield from on_node("gvisor.absent", DAEMON_JSON, _removed)


def _removed(node: Node) -> Commands:
    if node.pending and state.is_executing:  # before that, it is still to be ended
        what = "an earlier change was interrupted"
        raise Problem(what, todo="run again: that finishes or undoes the change first")
    removal = plan_removal(node, plan_without_us(node, asking(host)))
    if not removal.changes:
        host.noop("nothing of pyinfra-gvisor is on the node")
        return
    for path in removal.going:
        tell_detail(f"remove {path}")
    for path in removal.kept:
        tell(f"keep {path}, it is in use")
    forget_node(host)
    text = script(
        "releases/remove",
        link="yes" if removal.link else "no",
        state="yes" if removal.state else "no",
        state_dir=STATE_DIR,
        file=DAEMON_JSON,
    )
    text = recorded("gvisor.absent: remove", text)
    yield StringCommand("sh", "-c", QuoteString(text), "sh", *map(QuoteString, removal.paths))


@operation()
def proof(
    version: str,
    *,
    profiles: Mapping[str, Runtime],
    when: str = "changed",
    risks: Sequence[str] = (),
    image: str | None = None,
    no_new_privileges: bool | None = None,
    declared: Declared = None,
    rows: bool = False,
) -> Commands:
    """
    Prove that containers under our runtimes are isolated, and that containers under runc are not.

    + version: the release that sandboxes must run from
    + profiles: the runtimes to prove, by name
    + when: ``changed`` (if the node changed since the last proof), ``always`` or ``never``
    + risks: accepted risks, which are repeated below the outcome
    + image: an image on the node for the containers of the proof; None: the node's own programs
    + no_new_privileges: whether it must be on; None: check it if the running dockerd has it on
    + declared: the settings whose parts the proof must see working; None: no part
    + rows: show each check, not only the counts and the checks that failed

    Fails the host if a check fails or no proof could be made. Leaves only a record on the node.
    """

    def body(node: Node) -> Commands:
        refuse(newer(node))
        now = fingerprint(node, version, profiles, image=image, declared=declared)
        only_looks(host)
        if not is_due(node, profiles, when, now):
            return _leave_proven(node, now)
        from pyinfra_gvisor.run_support import evidence  # noqa: PLC0415 - takes long

        tell_detail(f"prove {', '.join(profiles)} in probe containers, with runc as the control")
        forget_node(host)
        given = (version, profiles, tuple(risks), image, no_new_privileges, declared, rows)
        yield evidence.prove(evidence.Claim(*given))

    yield from on_node("gvisor.proof", "node", body)


def _leave_proven(node: Node, now: str | None) -> None:
    if holds(node, now):
        is_proven(host, "before")
    host.noop("isolation was proven, and the node has not changed since")
