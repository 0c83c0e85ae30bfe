"""Node images: built once for each recipe, even if several processes ask."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from tools.lab import recipe
from tools.lab.build import Build, Tell, building
from tools.lab.cache import Cache
from tools.lab.spec import FLAVOUR_DEFAULT, FLAVOURS, Flavour, LabError

_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def ensure_image(flavour: Flavour, *, client: DockerClient, cache: Cache, tell: Tell) -> str:
    """Return the image tag of ``flavour``; build it if missing. Another process waits meanwhile."""
    flavour = recipe.image_flavour(flavour)
    tag = recipe.image_tag(flavour)
    with cache.lock(f"image-{flavour.name}"):
        if not _is_there(flavour, tag, client=client, cache=cache):
            base = FLAVOURS[flavour.base] if flavour.base else None
            base_tag = base and ensure_image(base, client=client, cache=cache, tell=tell)
            what = f"{tag} {f'on {base_tag}' if base_tag else 'with mmdebstrap'}"
            with building(what, flavour.name, cache=cache, tell=tell) as build:
                try:
                    if base_tag:
                        _add(flavour, tag, base_tag, build, client=client)
                    else:
                        _build(flavour, tag, build, client=client, cache=cache)
                except DockerException as error:
                    raise LabError(f"lab: Docker cannot build {tag}", because=error) from error
        _remove_older(flavour, tag, client=client, tell=tell)
    return tag


def ensure_runsc(*, client: DockerClient, cache: Cache, tell: Tell) -> Path:
    """Return the path of Debian's runsc package, which building the default image leaves."""
    ensure_image(FLAVOUR_DEFAULT, client=client, cache=cache, tell=tell)
    return cache.runsc_package


def _is_there(flavour: Flavour, tag: str, *, client: DockerClient, cache: Cache) -> bool:
    if flavour == FLAVOUR_DEFAULT and not cache.runsc_package.is_file():
        return False
    return bool(client.images.list(tag))


def _build(flavour: Flavour, tag: str, build: Build, *, client: DockerClient, cache: Cache) -> None:
    tar, package, prepare = (
        build.directory / name for name in ("node.tar", "runsc.deb", "prepare.sh")
    )
    prepare.write_text(recipe.resource("prepare.sh"), encoding="utf-8")
    runsc = str(package) if flavour == FLAVOUR_DEFAULT else None
    command = recipe.mmdebstrap_command(flavour, prepare=str(prepare), tar=str(tar), runsc=runsc)
    build.run(command, progress=recipe.purpose, environment={"TMPDIR": str(build.directory)})
    build.tell(f"  importing {tar.stat().st_size // 1_000_000} MB into Docker")
    repository, _, name = tag.partition(":")
    client.api.import_image_from_file(
        str(tar), repository=repository, tag=name, changes=recipe.image_changes(flavour)
    )
    client.images.get(tag)
    if runsc:
        package.replace(cache.runsc_package)


def _add(flavour: Flavour, tag: str, base_tag: str, build: Build, *, client: DockerClient) -> None:
    """Build an image in a container of its base's image."""
    repository, _, name = tag.partition(":")
    with _container(base_tag, flavour, client=client) as container:
        for command in recipe.additions(flavour):
            _run_in(container, command, build)
        changes = "\n".join(recipe.image_changes(flavour))
        container.commit(repository, name, changes=changes)


@contextmanager
def _container(image: str, flavour: Flavour, *, client: DockerClient) -> Iterator[Container]:
    """A running container with this machine's network; what an earlier build left goes."""
    name = f"{recipe.IMAGE_REPOSITORY}-{flavour.name}"
    with suppress(NotFound):
        client.containers.get(name).remove(force=True, v=True)
    container = client.containers.create(
        image,
        ["sleep", "infinity"],
        name=name,
        network_mode="host",
        labels={recipe.LABEL: name},
        environment={key: os.environ[key] for key in _PROXIES if key in os.environ},
    )
    try:
        container.start()
        yield container
    finally:
        container.remove(force=True, v=True)


def _run_in(container: Container, command: list[str], build: Build) -> None:
    ran = container.exec_run(command)
    said = ran.output.decode(errors="replace") if isinstance(ran.output, bytes) else ""
    with build.log.open("a", encoding="utf-8") as file:
        file.write(said)
    if ran.exit_code != 0:
        last = next((line for line in reversed(said.splitlines()) if line), "no output")
        what = f"lab: {command[3]} failed with exit code {ran.exit_code}"
        raise LabError(what, because=last, todo=f"see {build.log}")


def _remove_older(flavour: Flavour, tag: str, *, client: DockerClient, tell: Tell) -> None:
    """Remove images of older recipes, except those that a node still uses."""
    for image in client.images.list(filters={"label": f"{recipe.IMAGE_LABEL}={flavour.name}"}):
        if tag not in image.tags:
            try:
                client.images.remove(str(image.id))
            except APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:  # 409: the image is in use
                    tell(f"cannot remove an older image: {error.explanation}")
