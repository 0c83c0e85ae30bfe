"""Rules about nodes that decide where a container runs, and what it may have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule, Running
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.dispatch.shapes import SHAPES
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME
from pyinfra_gvisor.runtimes.unjudged import REMOVE, RULE, unjudged

# What the judge says of an image that an entry has, or that is of a known shape.
_NOT_ACCEPTED = re.compile("image (sha256:[0-9a-f]+) of ([a-z-]+) ")
_OTHER_THAN_ACCEPTED = re.compile("(.*; )?not the accepted ")

# What the judge says of mounts; only those of a network lead to no files of the node.
_MOUNT, _ELSEWHERE = "mount of ", " (network file system)"
_WRITTEN = (
    "Docker may already have written to {}: check the files there. Then recreate the container "
    "without what is named, or allow it in gvisor_seal"
)


def _other_default(host: Audited) -> Iterator[Observation]:
    """Report another default runtime, unless rules about daemon.json do: they need a plan."""
    info = host.node.info
    if host.settings.dispatch is None or info is None or isinstance(host.plan, Plan):
        return
    if info.default_runtime != DEFAULT_RUNTIME:
        yield Observation("dockerd", f"default runtime {cut(info.default_runtime)}")


def _not_accepted(host: Audited) -> Iterator[Observation]:
    for image in host.node.unaccepted_images:
        worse = Severity.MEDIUM if image.recorded else None
        yield Observation(
            f"image {cut(image.title)}",
            f"{', '.join(image.shapes)} with the unknown id {image.id}",
            worse,
            remedy=f"Look at the image. If it is the platform's, {image.accepting}. "
            "Or remove the image",
        )


def _refused(host: Audited) -> Iterator[Observation]:
    """
    Report a refused container as less severe if it does not run and its image is not known: a user
    may have tried it. A container of the platform's that does not run is one that did not start,
    and before Docker asks anybody, it has written to what a container mounts.
    """
    running = {item.id for item in host.node.containers}
    for identity, place in host.node.places.items():
        if place.where != "refused":
            continue
        if place.when == "start":
            unaccepted = _NOT_ACCEPTED.match(place.why)
            known = unaccepted or _OTHER_THAN_ACCEPTED.match(place.why)
            mounts = _of_the_node(place.why)
            worse = None if identity in running or known or mounts else Severity.MEDIUM
            remedy = _accepting(place.name, *unaccepted.groups()) if unaccepted else None
            if mounts:
                remedy = _WRITTEN.format(", ".join(mounts))
            yield Observation(place.name, place.why, worse, remedy=remedy)
        else:
            yield Observation(place.name, f"once it is recreated: {place.why}", Severity.MEDIUM)


def _of_the_node(why: str) -> list[str]:
    """Return the files and directories of the node to which refused mounts lead."""
    return [
        cut(phrase.removeprefix(_MOUNT).partition(" on /")[0])
        for phrase in why.split("; ")
        if phrase.startswith(_MOUNT) and not phrase.endswith(_ELSEWHERE)
    ]


def _accepting(name: str, image_id: str, shape: str) -> str:
    thing = name if SHAPES[shape].recorded else image_id
    return f"Look at the image. If it is the platform's, run pyinfra-gvisor accept {thing}"


def _unknown(host: Audited) -> Iterator[Observation]:
    if error := host.node.places_error:
        yield Observation("containers", cut(error))


def _bypassed(host: Audited) -> Iterator[Observation]:
    """Report ways past the judge; as less severe where none is declared that they could pass."""
    worse = None if host.settings.preview else Severity.LOW
    for subject, why in unjudged(host.node, host.settings.runtimes):
        yield Observation(subject, why, worse)


def _variables(host: Audited) -> Iterator[Observation]:
    for found in host.node.gvisor_variables:
        program, _, name = found.partition(" ")
        yield Observation(program, f"was started with {cut(name)}")


def _sandboxed(running: Running) -> Iterator[Observation]:
    place = running.place
    if running.sandboxed and place and place.where == "runc":
        yield Observation(running.container.name, place.why)


DEFAULT_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "default-runtime-other",
        Severity.CRITICAL,
        "Containers without a runtime do not run in gVisor: the default runtime is another one",
        "Do what the other findings about daemon.json say, then run pyinfra-gvisor apply",
        _other_default,
    ),
    Rule(
        "image-not-accepted",
        Severity.HIGH,
        "An image of a known platform has an unknown id: Docker will refuse it as infrastructure",
        "Look at the image. If it is the platform's, run pyinfra-gvisor accept IMAGE_ID on the "
        "controller: the finding has the id. Otherwise remove the image",
        _not_accepted,
    ),
    Rule(
        "container-refused",
        Severity.HIGH,
        "Docker would refuse to start this container again",
        "Recreate the container without what is named, or allow it in gvisor_seal. If it is "
        "infrastructure, run pyinfra-gvisor accept NAME",
        _refused,
    ),
    Rule(
        RULE,
        Severity.HIGH,
        "Containers can run in gVisor without the judge: policy and seal do not apply to them",
        REMOVE,
        _bypassed,
    ),
    Rule(
        "runsc-environment",
        Severity.HIGH,
        "runsc obeys this variable: it may start programs of another release",
        "Remove it from the unit and its drop-ins (systemctl cat), from /etc/default/docker and "
        "from /etc/systemd/system.conf. Then restart the unit",
        _variables,
    ),
    Rule(
        "infrastructure-unknown",
        Severity.MEDIUM,
        "It is unknown which containers are infrastructure, so each of them must run in gVisor",
        "Run the audit again. If this finding remains, read journalctl -u docker",
        _unknown,
    ),
)

INFRASTRUCTURE_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "infrastructure-sandboxed",
        Severity.INFO,
        "Is infrastructure, but runs in gVisor now",
        "Restart the container if it does not work in gVisor: it then runs under runc",
        _sandboxed,
    ),
)
