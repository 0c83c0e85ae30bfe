"""Where containers would run after their next start, by the declared policy and seal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.dispatch.shapes import SHAPES
from pyinfra_gvisor.node.containers import Container

PREVIEWED = ("place", "unaccepted", "not_again")


class Place(Reading):
    """
    Where a container would run, running or not, and why.

    ``asked`` is the runtime that it was created with. ``when``: from its next ``start`` on, or only
    after it is ``recreated`` without a runtime, because ``asked`` is none of ours. ``reasons``: why
    it is refused, a phrase each.
    """

    name: str
    asked: str
    where: Literal["runc", "sandbox", "refused"]
    why: str
    when: Literal["start", "recreated"]
    reasons: tuple[str, ...] = ()


class UnacceptedImage(Reading):
    """An image of known shapes whose id no policy entry has: Docker refuses it as one of these."""

    id: str
    names: tuple[str, ...]
    shapes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return a name of the image, or else its id."""
        return next(iter(self.names), self.id)

    @property
    def recorded(self) -> bool:
        """Return True if users run such images for themselves as well, which nobody refuses."""
        return all(SHAPES[name].recorded for name in self.shapes)

    @property
    def accepting(self) -> str:
        """Return what an operator must do to accept it, as an imperative."""
        return SHAPES[self.shapes[-1]].accepting(self.id)  # of several, the one for any name


class NotAgain(Reading):
    """A volume or network of today that nobody could create again, and why."""

    kind: Literal["volume", "network"]
    name: str
    why: str


@dataclass(frozen=True)
class PlaceLine:
    """A line that tells where containers would run; ``refused``: they would not start."""

    text: str
    refused: bool = False


def read_places(
    lists: Mapping[str, Sequence[str]], told: Sequence[str], error: str | None
) -> dict[str, Any]:
    """
    Return what ``judge/preview.py`` wrote, as members of ``Node``.

    + lists: its lines by their first word
    + told: ``asked`` before the program starts, ``told`` when it ends
    + error: why it does not know, in JSON

    Raises ``ValueError`` if a line is malformed.
    """
    if "asked" in told and "told" not in told:
        error = '"the answer of the node about its containers is incomplete"'
    found = {} if error else {key: [json.loads(line) for line in lists[key]] for key in PREVIEWED}
    return {
        "places": {item["id"]: Place.model_validate(item) for item in found.get("place", ())},
        "places_error": error and json.loads(error),
        "unaccepted_images": [*map(UnacceptedImage.model_validate, found.get("unaccepted", ()))],
        "not_again": [*map(NotAgain.model_validate, found.get("not_again", ()))],
    }


def place_lines(
    places: Mapping[str, Place],
    running: Iterable[Container],
    images: Sequence[UnacceptedImage],
    not_again: Iterable[NotAgain] = (),
) -> list[PlaceLine]:
    """
    Return where each container would run after its next start, the most important lines first.

    Containers of which the same is to be said share a line.
    """
    now = {item.id: item.verdict.state for item in running}
    groups: dict[tuple[int, str, str], list[str]] = {}
    for identity, place in places.items():
        groups.setdefault(_told(place, now.get(identity)), []).append(place.name)
    lines = [
        PlaceLine(_line(sorted(names), one, many), refused=rank == 0)
        for (rank, one, many), names in sorted(groups.items())
    ]
    again = (
        PlaceLine(f"{item.kind} {item.name} stays, but Docker would refuse a new one: {item.why}")
        for item in not_again
    )
    return [*_image_lines(images), *again, *lines]


def _image_lines(images: Iterable[UnacceptedImage]) -> Iterator[PlaceLine]:
    for image in images:
        shapes = ", ".join(image.shapes)
        text = (
            f"image {image.title} is not accepted: with the mounts of {shapes} it would be "
            "REFUSED, otherwise it runs in gVisor. Accept it only if it is the platform's: "
            f"{image.accepting}"
        )
        yield PlaceLine(text, refused=True)


def _line(names: list[str], one: str, many: str) -> str:
    if len(names) == 1:
        return f"{names[0]}: {one}"
    return f"{len(names)} containers {many}: {', '.join(names)}"


def _told(place: Place, now: str | None) -> tuple[int, str, str]:
    """Return a rank, and what to say of one such container and of several."""
    if place.when == "recreated" and place.where != "runc":
        return _recreated(place)
    if place.where == "refused":
        text = f"would be REFUSED: {place.why}"
        return 0, text, text
    after = "gVisor" if place.where == "sandbox" else "runc"
    because = "" if place.why == "not infrastructure" else f" ({place.why})"
    before = {"sandboxed": "gVisor", "bare": "runc"}.get(now or "", after)
    if before != after:
        text = f"{before} now, {after} after the next start{because}"
        return 1, text, f"have {text}"
    many = "run under runc" if after == "runc" else "run in gVisor"
    return (2 if after == "runc" else 3), f"{after}{because}", f"{many}{because}"


def _recreated(place: Place) -> tuple[int, str, str]:
    asked = place.asked
    if place.where == "refused":
        then = f"would be REFUSED: {place.why}"
        return (
            0,
            f"stays under {asked} until it is recreated, then {then}",
            f"stay under {asked} until they are recreated, then {then}",
        )
    because = "" if place.why == "not infrastructure" else f" ({place.why})"
    return (
        1,
        f"stays under {asked} until it is recreated, then gVisor{because}",
        f"stay under {asked} until they are recreated, then gVisor{because}",
    )
