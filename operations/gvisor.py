"""gVisor on a node: a release, runtimes that use it, and the proof that they isolate."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from pyinfra import host, state
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.daemon_json.records import newer
from pyinfra_gvisor.errors import Problem, cut
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.operations.installing import install, planned
from pyinfra_gvisor.operations.telling import refusal, tell
from pyinfra_gvisor.proof.part import Declared
from pyinfra_gvisor.proof.verdict import fingerprint, is_due
from pyinfra_gvisor.releases.pins import is_there, unpinned
from pyinfra_gvisor.releases.sources import Archive, Fetch
from pyinfra_gvisor.removal import LINK, plan_removal
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import Wrapper, missing, too_old, wrappers
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR
from pyinfra_gvisor.scripts import encoded, script
from pyinfra_gvisor.wanted import without_us


@operation()
def release(version: str, *, archive: Archive) -> Generator[PyinfraCommand, None, None]:
    """
    Have a runsc release on the node, beside the others, checked against its sha512.

    + version: gVisor's release date and number, such as ``20260928.0``
    + archive: where it comes from and what its sha512 must be

    What was fetched is unpacked beside the releases, checked (nothing that leaves the directory,
    runsc is there and says that it is this release) and renamed into place. A release that is there
    and not as it was installed is repaired, without taking a file from what runs; one that was
    installed from other files than the pinned ones is fetched again, in the same way. Fails the
    host, with nothing changed, if any of this is not so.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("gvisor.release", version, None, unreadable=True)
        return
    if is_there(node, version, archive):
        host.noop(f"runsc {version} is there")
        return
    try:
        fetch = planned(archive, version, node.arch)
    except Problem as problem:
        yield from refusal("gvisor.release", cut(version), problem)
        return
    other = unpinned(node, version, archive)
    damaged = version in node.damaged
    tell(_coming(node, fetch, damaged=damaged, other=other))
    forget_node(host)
    yield from install(fetch, node.arch, damaged=damaged, fresh=other is not None)


def _coming(node: Node, fetch: Fetch, *, damaged: bool, other: str | None) -> str:
    if other:
        why = f"what is there is not what is pinned ({other})"
        return f"fetch runsc {fetch.release} again from {fetch.origin}: {why}"
    if damaged:
        return (
            f"repair runsc {fetch.release}, which is not as it was installed, from {fetch.origin}"
        )
    beside = ", ".join(node.releases) or "no other"
    return f"install runsc {fetch.release} from {fetch.origin} beside {beside}"


@operation()
def runtimes(
    version: str, *, profiles: Mapping[str, Runtime]
) -> Generator[PyinfraCommand, None, None]:
    """
    Have a wrapper script for each runtime, for daemon.json to point at.

    + version: the release that they start
    + profiles: the runtimes by name

    A wrapper is never changed: other flags or another release make another file. Before one is
    written, the release's runsc is asked whether it takes the flags of each; if it does not, the
    host fails with nothing changed.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("gvisor.runtimes", RELEASES_DIR, None, unreadable=True)
        return
    if problem := too_old(version, profiles):
        yield from refusal("gvisor.runtimes", version, problem)
        return
    lacking = missing(node, wrappers(version, profiles))
    if not lacking:
        host.noop("the wrappers are there")
        return
    for item in lacking:
        tell(f"write {item.path}")
    forget_node(host)
    text = script("install_wrappers", host=host.name, release=version)
    yield StringCommand("sh", "-c", QuoteString(text), "sh", *_arguments(lacking))


def _arguments(lacking: tuple[Wrapper, ...]) -> list[QuoteString]:
    return [QuoteString(word) for item in lacking for word in (item.path, encoded(item.text))]


@operation()
def link(version: str) -> Generator[PyinfraCommand, None, None]:
    """
    Have ``/usr/local/bin/runsc``, for people, point at a release.

    + version: the release

    A file of that name, or a link to elsewhere, is left alone: a running sandbox of an older set-up
    may need it.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("gvisor.link", LINK, None, unreadable=True)
        return
    target = f"{RELEASES_DIR}/{version}/runsc"
    ours = node.runsc_link is None or node.runsc_link.startswith(RELEASES_DIR + "/")
    if node.runsc_file or not ours or node.runsc_link == target:
        host.noop(f"{LINK} is right, or not ours")
        return
    tell(f"point {LINK} at {target}")
    forget_node(host)
    yield StringCommand("sh", "-c", QuoteString(script("link_runsc", target=target)))


@operation()
def absent() -> Generator[PyinfraCommand, None, None]:
    """
    Have no release, no wrapper and no record of ours on the node.

    What a running sandbox runs from stays, and what an entry of daemon.json points at that is not
    ours alone or that a container uses; the records stay while a key of daemon.json is owned. The
    keys themselves are to be given back before, by ``docker.daemon_json``.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("gvisor.absent", STATE_DIR, None, unreadable=True)
        return
    if node.pending and state.is_executing:  # before that, it is still to be ended
        interrupted = Problem("a change of it is interrupted", todo="end it first, run again")
        yield from refusal("gvisor.absent", DAEMON_JSON, interrupted)
        return
    try:
        removal = plan_removal(node, without_us(node, asking(host)))
    except Problem as problem:
        yield from refusal("gvisor.absent", DAEMON_JSON, problem)
        return
    if not removal.changes:
        host.noop("nothing of ours is there")
        return
    for path in removal.going:
        tell(f"remove {path}")
    for path in removal.kept:
        tell(f"keep {path}, it is in use")
    forget_node(host)
    text = script(
        "remove_gvisor",
        link="yes" if removal.link else "no",
        state="yes" if removal.state else "no",
        state_dir=STATE_DIR,
    )
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
) -> Generator[PyinfraCommand, None, None]:
    """
    Prove that containers under our runtimes are isolated, and that the same under runc is not.

    + version: the release that sandboxes must run from
    + profiles: the runtimes to prove, by name
    + when: ``changed`` (the node is not as last proven), ``always`` or ``never``
    + risks: accepted risks, to be repeated under the outcome
    + image: an image that is on the node to prove it with; None: the node's own programs are enough
    + no_new_privileges: whether it has to be in force; None: if the running daemon says that it is
    + declared: the settings whose parts are to be seen at work; None: none is

    Fails the host if anything is not proven or no proof could be made. Leaves nothing behind but a
    record of what was proven, so that a node that has not changed since is not asked again.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("gvisor.proof", "probe", None, unreadable=True)
        return
    if problem := newer(node):
        yield from refusal("gvisor.proof", "node", problem)
        return
    now = fingerprint(node, version, profiles, image=image, declared=declared)
    if not is_due(node, profiles, when, now):
        host.noop("isolation was proven on this very state")
        return
    from pyinfra_gvisor.operations.evidence import Claim, prove  # noqa: PLC0415 - takes long

    tell(f"prove {', '.join(profiles)} with a probe container, and under runc as control")
    forget_node(host)
    yield prove(Claim(version, profiles, tuple(risks), image, no_new_privileges, declared))
