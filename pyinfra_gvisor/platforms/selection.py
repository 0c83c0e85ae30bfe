"""What ``pyinfra-gvisor accept`` writes, and what an operator must see before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.spelling import did_you_mean, near
from pyinfra_gvisor.dispatch.accepted import FILE, is_same
from pyinfra_gvisor.dispatch.policy import Infrastructure
from pyinfra_gvisor.dispatch.proposals import Proposal, proposals
from pyinfra_gvisor.dispatch.pulled import IS_DIGITS, SHORT_ID, Image
from pyinfra_gvisor.judge.infrastructure import repository
from pyinfra_gvisor.platforms.discovered import HostFound, is_tenants
from pyinfra_gvisor.platforms.every import identify

# Keys of an entry that give a container something of the node.
_ALLOWS = (
    *("mounts", "optional_mounts", "network", "pid", "capabilities", "groups", "ports"),
    *("extra_hosts", "options"),
)
_HAS_SOCKET = ("/var/run/docker.sock", "/run/docker.sock", "/run", "/var/run", "/var", "/")
_SETTING = f'gvisor_infrastructure = "{FILE}"'


@dataclass(frozen=True)
class Chosen:
    """An entry to write, what it was made from, and the hosts that have it."""

    entry: Infrastructure
    proposal: Proposal
    hosts: tuple[str, ...]


def chosen(
    found: Sequence[HostFound], wanted: Sequence[str], shape: str | None
) -> tuple[Chosen, ...]:
    """
    Return the entries for what an operator names, each once.

    + wanted: ids of images or containers, and names of containers
    + shape: the shape that they have, whatever their images are called

    Raises ``Problem`` if no host has one of them, or if one cannot be infrastructure.
    """
    picked: list[Chosen] = []
    for name in wanted:
        here = [
            (host.host, item)
            for host in found
            for item in proposals(host.pulled, wanted=[name], shape=shape, known=host.entries)
        ]
        if not here:
            raise _nothing(found, name)
        told = {(item.image, item.shape) for _, item in here if item.entry}
        for host, item in here:
            if item.unseen and (item.image, item.shape) in told:
                continue  # containers on other hosts tell it
            if item.entry is None:
                raise Problem(f"{item.subject} on {host} cannot be accepted: {item.problem}")
            picked = _added(picked, Chosen(item.entry, item, (host,)))
    return tuple(picked)


def _nothing(found: Sequence[HostFound], name: str) -> Problem:
    ids = [image.id for host in found for image in host.pulled.images.values()]
    if any(image.removeprefix("sha256:").startswith(name.removeprefix("sha256:")) for image in ids):
        todo = "add --shape, or give the name of a container of this image"
        return Problem("no known kind of container has an image of this name", got=name, todo=todo)
    names = {known for host in found for known in host.pulled.names}
    todo = did_you_mean(near(name, names)) or "list both with pyinfra-gvisor infrastructure"
    if IS_DIGITS.fullmatch(name):
        todo += f"; digits are never a name, and an id needs {SHORT_ID} or more digits"
    return Problem("no node has such an image or container", got=name, todo=todo)


def _added(picked: Sequence[Chosen], new: Chosen) -> list[Chosen]:
    same = next((item for item in picked if is_same(item.entry, new.entry)), None)
    if same is None:
        return [*picked, new]
    hosts = tuple(sorted({*same.hosts, *new.hosts}))
    joined = Chosen(same.entry, same.proposal, hosts)
    return [joined if item is same else item for item in picked]


def with_reason(item: Chosen, reason: str | None, today: str) -> Infrastructure:
    """
    Return the entry with its reason.

    + reason: None for one that says what was accepted, on which hosts and when
    """
    text = reason or f"{item.proposal.subject} on {', '.join(item.hosts)}, accepted {today}"
    return item.entry.model_copy(update={"reason": text})


def file_of(found: Sequence[HostFound], picked: Sequence[Chosen]) -> str:
    """
    Return the file that the hosts with the chosen images read. Some may read none, such as the
    control host and build servers.

    Raises ``Problem`` if none reads a file, or if they read several: what is written must have an
    effect.
    """
    names = sorted({host for item in picked for host in item.hosts})
    files = {host.reads for host in found if host.host in names and host.reads is not None}
    if not files:
        todo = f"add to group_data/run.py: {_SETTING}"
        what = "gvisor_infrastructure of these nodes names no file"
        raise Problem(what, got=", ".join(names), todo=todo)
    if len(files) > 1:
        got = ", ".join(sorted(map(str, files)))
        raise Problem("these nodes read several files", got=got, todo="choose nodes by --limit")
    return str(next(iter(files)))


def applying(found: Sequence[HostFound], path: str) -> tuple[str, ...]:
    """Return the hosts on which entries of the file ``path`` have an effect."""
    return tuple(host.host for host in found if host.reads == path and host.default != "off")


def doubts(found: Sequence[HostFound], picked: Sequence[Chosen]) -> tuple[str, ...]:
    """Return why the chosen are no infrastructure, or may be none, so that a person must decide."""
    images = {item.entry.image for item in picked}
    known = {image.id: image for host in found for image in host.pulled.images.values()}
    built = (
        f"{_title(known[one])} has no repository digest"
        for one in sorted(images & {*known})
        if not known[one].digests
    )
    return (*_tenants(item.proposal for item in picked), *built)


def _title(image: Image) -> str:
    return f"image {next(iter(image.tags), image.id)}"


def cards(found: Sequence[HostFound], picked: Sequence[Chosen]) -> Iterator[str]:
    """Return what the chosen images are, with a warning where a name may be of another image."""
    for image in sorted({item.entry.image for item in picked}):
        hosts = [host for host in found if image in host.pulled.images]
        one = hosts[0].pulled.images[image]
        yield f"image    {one.id}"
        yield f"tags     {', '.join(one.tags) or 'none'}"
        yield f"digests  {', '.join(one.digests) or 'none'}"
        yield f"created  {one.created}, {one.size_bytes >> 20} MiB"
        words = " ".join((*one.config.entrypoint, *one.config.command))
        yield f"runs     {words or 'nothing'}, as user {one.config.user or 'root'}"
        yield f"on       {', '.join(host.host for host in hosts)}"
        here = [item for item in picked if item.entry.image == image]
        same = [item.proposal for item in here]
        notes = dict.fromkeys(f"{item.subject}: {note}" for item in same for note in item.notes)
        yield from (f"note     {note}" for note in notes)
        for item in here:
            name = item.proposal.subject
            yield from (f"allows   {name}: {line}" for line in _allowed(item.entry))
        told = (*_roots(here), *_tenants(same), *warnings(one, found))
        yield from (f"WARNING  {text}" for text in told)


def _allowed(entry: Infrastructure) -> Iterator[str]:
    """Return what a container may have of the node's by an entry."""
    if entry.ports is None:
        yield "ports any"
    for key in _ALLOWS:
        value = getattr(entry, key)
        if isinstance(value, dict):
            value = json.dumps(value) if value else ""
        elif isinstance(value, tuple):
            value = ", ".join(value)
        if value and value != "own":
            yield f"{key} {value}"


def _roots(picked: Iterable[Chosen]) -> Iterator[str]:
    """Return a warning for what can ask dockerd for anything: a read-only mount is no obstacle."""
    for item in picked:
        mounts = (*item.entry.mounts, *item.entry.optional_mounts)
        if any(mount.partition(":")[0] in _HAS_SOCKET for mount in mounts):
            yield f"{item.proposal.subject} has docker.sock: this container is root on the node"


def _tenants(picked: Iterable[Proposal]) -> Iterator[str]:
    """Return a warning for each container that a platform's tenants may have made."""
    for item in picked:
        if is_tenants(item):
            app = identify(item.labels)
            yield f"container {item.subject} is {app}: a tenant's app, and not infrastructure"


def warnings(image: Image, found: Iterable[HostFound]) -> Iterator[str]:
    """Return why an image may be another than its name says: somebody can have given the name."""
    name = next(iter((*image.tags, *image.digests)), image.id)
    if not image.digests:
        yield (
            "no repository digest: the image was built or loaded on the node, not pulled. Whoever "
            "can build there can give it this name"
        )
    elif later := sorted(_repositories(image.tags) - _repositories(image.digests)):
        own = ", ".join(sorted(_repositories(image.digests)))
        what = f"no digest has the name {', '.join(later)}"
        yield f"{what}: somebody gave this tag later to an image of {own}"
    if image.containerd:
        yield (
            "this node's image store gives built images a digest, too. Compare the id with the "
            f"registry: docker buildx imagetools inspect {name}"
        )
    for host in found:
        for one in host.pulled.images.values():
            if one.id != image.id and (same := {*one.tags} & {*image.tags}):
                short = one.id.removeprefix("sha256:")[:SHORT_ID]
                yield f"on {host.host}, {', '.join(sorted(same))} is another image: {short}"


def _repositories(names: Iterable[str]) -> set[str]:
    return {repository(name) for name in names}
