"""Entries of the policy, made from an image or a container as it is on a node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pyinfra_gvisor.base.errors import Problem, capitalized
from pyinfra_gvisor.base.redaction import secrets_in_words
from pyinfra_gvisor.dispatch.accepted import FILE
from pyinfra_gvisor.dispatch.policy import EXTENDED, Infrastructure
from pyinfra_gvisor.dispatch.pulled import (
    IS_DIGITS,
    SHORT_ID,
    Configured,
    Container,
    Image,
    Pulled,
)
from pyinfra_gvisor.dispatch.shapes import (
    COMPOSE_LABELS,
    HEALTHCHECK,
    PROJECT,
    PROJECT_DIR,
    PROJECT_FILES,
    SHAPES,
    Shape,
    shapes_of,
)
from pyinfra_gvisor.judge.infrastructure import (
    Difference,
    differences,
    exact_options,
    has_name_of,
    published,
    repository,
    runs_commands,
)

_KEPT_LABELS = (PROJECT, "com.docker.compose.service", PROJECT_DIR, PROJECT_FILES)


@dataclass(frozen=True)
class Proposal:
    """
    An entry to accept. ``subject``: the container's or the image's name. ``notes``: what an
    operator must know about it. ``problem``: why there is no entry. ``labels``: the container's.
    ``unseen``: there is none because no container of the image tells its command.
    """

    subject: str
    image: str
    shape: str
    entry: Infrastructure | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    unseen: bool = False


def proposals(
    pulled: Pulled,
    *,
    wanted: Sequence[str] = (),
    shape: str | None = None,
    known: Sequence[Infrastructure] = (),
) -> tuple[Proposal, ...]:
    """
    Return what may be accepted on a node: containers, then known images that none of them uses.

    Of an image of a recorded shape, the containers tell the entries.

    + wanted: only these, by id of an image or container, or by a container's name
    + shape: the one that they have, whatever their images are called
    + known: accepted entries, which an operator may have edited so that a container fits
    """
    found: list[Proposal] = []
    for container in pulled.containers:
        image = pulled.images.get(container.image_id)
        if image is None:
            continue
        chosen = SHAPES[shape] if shape else shape_of(container, image)
        one = of_container(container, image, chosen)
        fitting = _fitting(one, container, known)
        if is_named(container, wanted):
            found.append(fitting)
        elif wanted:
            tells = chosen is not None and _tells(chosen, fitting, container)
            if tells and is_id(image.id, wanted):
                found.append(fitting)
        elif chosen or _asks(container, _known_shapes(container, image)):
            found.append(one)
    images = [item for item in pulled.images.values() if not wanted or is_id(item.id, wanted)]
    return (*found, *_of_images(images, shape, found))


def _of_images(
    images: Sequence[Image], shape: str | None, found: Sequence[Proposal]
) -> Iterator[Proposal]:
    """Yield the entries of images that no container of ``found`` tells."""
    seen = {(item.image, item.shape) for item in found}
    told = {item.image for item in found if item.entry}
    for image in images:
        for kind in _shapes(image, shape):
            if (image.id, kind.name) not in seen and not (kind.recorded and image.id in told):
                yield of_image(image, kind)


def _tells(shape: Shape, found: Proposal, container: Container) -> bool:
    """Return True if a container tells the entry of its image: others run such images, too."""
    is_its = container.name == shape.fixed.get("name")
    return shape.recorded and bool(shape.fixed) and (is_its or found.entry is not None)


def is_named(container: Container, wanted: Sequence[str]) -> bool:
    """
    Return True if a container is among those that an operator names.

    Hexadecimal digits are never a name: anybody can call a container like the id of an image.
    """
    names = {item for item in wanted if not IS_DIGITS.fullmatch(item)}
    return container.name in names or is_id(container.id, wanted)


def is_id(found: str, wanted: Sequence[str]) -> bool:
    """Return True if an id, or its beginning of 12 or more digits, is among ``wanted``."""
    digits = found.removeprefix("sha256:")
    return any(
        len(given) >= SHORT_ID and digits.startswith(given)
        for given in (item.removeprefix("sha256:") for item in wanted)
    )


def _shapes(image: Image, asked: str | None) -> tuple[Shape, ...]:
    found = (SHAPES[asked],) if asked else image.shapes
    return tuple(shape for shape in found if shape.fixed)


def shape_of(container: Container, image: Image) -> Shape | None:
    """
    Return the shape that a container has by its image's name and by what it asks for.

    None if it has no shape: an image that is not known, or a container of a known image that asks
    for nothing of its shape and so needs no entry.
    """
    known = _known_shapes(container, image)
    in_project = PROJECT_DIR in container.config.labels
    # The most special one first: Coolify's cleanup is a helper with a command of its own.
    for shape in sorted(known, key=lambda item: "command" not in item.fixed):
        is_one = _has_mounts(container, shape) and _has_command(container, shape)
        if is_one and has_name_of(container.name, vars(shape), map(vars, SHAPES.values())):
            by_compose = in_project and shape.recorded and not _is_of_a_project(shape)
            return SHAPES["compose"] if by_compose else shape if shape.fixed else None
    return SHAPES["compose"] if not known and in_project else None


def _known_shapes(container: Container, image: Image) -> tuple[Shape, ...]:
    by_name = shapes_of(container.config.image)
    return tuple({shape.name: shape for shape in (*by_name, *image.shapes)}.values())


def _asks(container: Container, known: Sequence[Shape]) -> bool:
    """Return True if a container is of no known kind, or has a mount for which it must be one."""
    return not known or any(_has_mounts(container, shape) for shape in known)


def _is_of_a_project(shape: Shape) -> bool:
    """Return True if a kind says of which project of compose it is."""
    return PROJECT_DIR in shape.fixed.get("labels", {})


def _has_mounts(container: Container, shape: Shape) -> bool:
    return not {*shape.mounts}.isdisjoint(map(str, container.mounts))


def _has_command(container: Container, shape: Shape) -> bool:
    return bool(shape.fixed.get("command", container.command) == container.command)


def of_image(image: Image, shape: Shape) -> Proposal:
    """Return the entry of a shape for an image, whose containers all have the same command."""
    names = [name for name in image.tags if repository(name) in shape.repositories]
    subject = next(iter((*names, *image.tags)), image.id)
    if shape.recorded:
        todo = shape.accepting(image.id)
        text = (
            "the entry needs the command of a container, and this image has no container here. "
            f"{capitalized(todo)}. A container that Docker refuses to start is enough"
        )
        return Proposal(subject, image.id, shape.name, problem=text, unseen=True)
    if image.config.shell:
        return Proposal(subject, image.id, shape.name, problem="no entry allows shell")
    check = {**(image.config.healthcheck or {}), **shape.usual.get(HEALTHCHECK, {})}
    given: dict[str, Any] = {
        **_configured(image.config),
        "command": image.config.command,
        **shape.usual,
        HEALTHCHECK: check or None,
        "optional_mounts": _volumes(image, shape),
    }
    return _proposal(subject, image.id, shape, given, ())


def of_container(container: Container, image: Image, shape: Shape | None) -> Proposal:
    """Return the entry for a container: by a shape, or with all that the container has."""
    found = _of_container(container, image, shape)
    return replace(found, subject=container.name, labels=container.config.labels)


def _of_container(container: Container, image: Image, shape: Shape | None) -> Proposal:
    name, notes = shape.name if shape else "", _other_than_image(container, image, shape)
    if shape and shape.fixed:
        found = of_image(image, shape) if not shape.recorded else None
        given = _recorded(container) | {"optional_mounts": _volumes(image, shape)}
        found = found or _proposal(container.name, image.id, shape, given, ())
        other = _misfits(found, container)
        notes = (*notes, *(f"differs from {shape.name}: {item.what}" for item in other))
    else:
        given = _recorded(container) | _asked_for(container)
        found = _proposal(container.name, image.id, shape, given, ())
        if never := _misfits(found, container):  # an entry as the container is says all others
            text = f"no entry allows {', '.join(item.what for item in never)}"
            return Proposal(container.name, image.id, name, problem=text)
    return replace(found, notes=(*found.notes, *notes))


def _misfits(found: Proposal, container: Container) -> tuple[Difference, ...]:
    return _differences(container, found.entry) if found.entry else ()


def _differences(container: Container, entry: Infrastructure) -> tuple[Difference, ...]:
    return tuple(differences(container.judged, entry.model_dump()))


def _fitting(found: Proposal, container: Container, known: Sequence[Infrastructure]) -> Proposal:
    """Return a proposal, without an entry if the container fits neither its own nor a known one."""
    other = _misfits(found, container)
    if not other or not found.shape or not SHAPES[found.shape].fixed:
        return found
    same = (item for item in known if (item.image, item.shape) == (found.image, found.shape))
    if entry := next((item for item in same if not _differences(container, item)), None):
        return replace(found, entry=entry)
    shape = SHAPES[found.shape]
    fixed = shape.fixed
    keys = {item.key for item in other if item.key in fixed and item.key not in EXTENDED}
    texts = (
        f"{item.what}, which no key allows"
        if item.key in keys or not item.key
        else f"{item.what}, which {item.key} would allow"
        for item in other
    )
    todo = f"Accept its image by id, then edit the entry in {FILE}"
    if keys or shape.recorded:
        todo = "Recreate it as the platform does, or accept it unchanged with --shape compose"
    text = f"the container differs from {found.shape}: {'; '.join(texts)}. {todo}"
    return replace(found, entry=None, problem=text)


def _other_than_image(container: Container, image: Image, shape: Shape | None) -> tuple[str, ...]:
    free = shape.fixed.get("env_free", ()) if shape else ()
    return tuple(f"differs from its image: {text}" for text in differs(container, image, free))


def _volumes(image: Image, shape: Shape) -> tuple[str, ...]:
    """Return the image's volumes as mounts, but for those where the shape mounts other things."""
    taken = {mount.split(":")[1] for mount in shape.fixed.get("mounts", ())}
    return tuple(f"volume:{path}:rw" for path in sorted(image.config.volumes) if path not in taken)


def _recorded(container: Container) -> dict[str, Any]:
    return {
        **_configured(container.config),
        "command": container.command,
        HEALTHCHECK: container.config.healthcheck or None,
        "groups": tuple(container.host.get("GroupAdd") or ()),
        "options": exact_options(container.host),
        "ports": published(container.host),
        "stdin": container.config.stdin,
        "tty": container.config.tty,
    }


def _configured(config: Configured) -> dict[str, Any]:
    return {
        "entrypoint": config.entrypoint,
        "env": tuple(sorted(item for item in config.env if "=" in item)),
        "env_free": tuple(sorted(item for item in config.env if "=" not in item)),
        "user": config.user,
        "working_dir": config.working_dir,
    }


def _asked_for(container: Container) -> dict[str, Any]:
    host, labels = container.host, container.config.labels
    return {
        "mounts": tuple(sorted(map(str, container.mounts))),
        "name": container.name.replace(".", "[.]"),
        "network": "host" if host.get("NetworkMode") == "host" else "own",
        "pid": "host" if host.get("PidMode") == "host" else "",
        "capabilities": tuple(host.get("CapAdd") or ()),
        "extra_hosts": tuple(host.get("ExtraHosts") or ()),
        "auto_remove": bool(host.get("AutoRemove")),
        "labels": {name: labels[name] for name in _KEPT_LABELS if name in labels},
        "without_labels": () if {PROJECT, PROJECT_DIR} & {*labels} else COMPOSE_LABELS[:1],
    }


def _proposal(
    subject: str, image: str, shape: Shape | None, given: Mapping[str, Any], notes: Sequence[str]
) -> Proposal:
    name = shape.name if shape else ""
    fixed = shape.fixed if shape else {}
    values = {key: value for key, value in given.items() if key not in fixed or key in EXTENDED}
    free = [item for item in given["env_free"] if item not in fixed.get("env_free", ())]
    values["env_free"] = tuple(free)
    if runs := [item for item in free if runs_commands(item)]:
        text = (
            f"the value of {', '.join(runs)} looks like a secret, and env_free must not have the "
            "variable"
        )
        return Proposal(subject, image, name, problem=text)
    if secrets_in_words(list(values.get("command", ()))):
        text = "its command contains a secret; give it to the container in a file or variable"
        return Proposal(subject, image, name, problem=text)
    if free:
        notes = (*notes, f"values look like secrets, so any value is allowed: {', '.join(free)}")
    about = {"image": image, "reason": f"proposed for {subject}", "shape": name or None}
    try:
        return Proposal(subject, image, name, _validated({**about, **values}), tuple(notes))
    except Problem as problem:
        return Proposal(subject, image, name, problem=str(problem))


def _validated(values: dict[str, Any]) -> Infrastructure:
    try:
        return Infrastructure.model_validate(values)
    except ValueError as error:
        raise Problem(f"no entry can be made: {error}") from None


def differs(container: Container, image: Image, free: Sequence[str] = ()) -> Iterator[str]:
    """
    Return what a container runs otherwise than its image does; variables by name.

    + free: variables that do not matter
    """
    ours, theirs = container.config, image.config
    if ours.entrypoint != theirs.entrypoint or container.command != theirs.command:
        yield "command"
    names = {item.partition("=")[0] for item in {*ours.env} ^ {*theirs.env}} - {*free}
    if names:
        yield f"environment ({', '.join(sorted(names))})"
    if (ours.healthcheck or {}) != (theirs.healthcheck or {}):
        yield "health check"
    if ours.user != theirs.user:
        yield "user"
