"""What a run says about where containers run after their next start."""

from typing import Any

import pytest

from pyinfra_gvisor.node import Node, parse_node
from pyinfra_gvisor.node.next_start import Place, PlaceLine, UnacceptedImage, place_lines
from pyinfra_gvisor.parts.watch.plan import Watch, named_stops, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from tests.cases.proven import proven_answer
from tests.table import table
from tests.unit.answers import END, Running, answer, compact, node
from tests.unit.audit.audited import BARE, app

IMAGE = UnacceptedImage(id="sha256:9", names=("helper:2", "helper:3"), shapes=("coolify-helper",))


NEARLY, ROUTES = "not the accepted a: b", "proxy: routes all apps"
STAYS = "stays under runc until it is recreated"


def place(name: str = "shop", where: str = "sandbox", **changes: Any) -> Place:
    """A place of a container that asks for no runtime."""
    known = {"asked": "gvisordefault", "why": "not infrastructure", "when": "start", **changes}
    return Place.model_validate({"name": name, "where": where, **known})


def before(name: str = "shop", where: str = "sandbox", **changes: Any) -> Place:
    """A place of a container that was created before the node got its default runtime."""
    return place(name, where, **{"asked": "runc", "when": "recreated", **changes})


def told(*places: Place, running: Node | None = None, images: Any = ()) -> list[str]:
    """The lines about these containers; the number of each is its id."""
    numbered = {str(number): item for number, item in enumerate(places)}
    containers = running.containers if running else ()
    return [line.text for line in place_lines(numbered, containers, images)]


def running_shop(container: Running) -> tuple[Node, str]:
    """A node on which this container runs, and its id."""
    found = parse_node([*proven_answer()[:-1], *container.lines(), END])
    return found, found.containers[0].id


@table(
    "item, text",
    sandbox=(place(), "gVisor"),
    nearly_infrastructure=(place(why=NEARLY), f"gVisor ({NEARLY})"),
    infrastructure=(place(where="runc", why=ROUTES), f"runc ({ROUTES})"),
    refused=(place(where="refused", why="privileged"), "would be REFUSED: privileged"),
    of_runc=(before(), f"{STAYS}, then gVisor"),
    infrastructure_of_runc=(before(where="runc", why=ROUTES), f"runc ({ROUTES})"),
    refused_once_it_is_recreated=(
        before(where="refused", why="privileged"),
        f"{STAYS}, then would be REFUSED: privileged",
    ),
)
def test_each_container_is_told_with_where_it_runs_and_why(item: Place, text: str) -> None:
    assert told(item) == [f"shop: {text}"]


def test_containers_of_which_the_same_is_to_be_said_share_a_line() -> None:
    lines = told(before("b"), place("d"), before("a"), place("c"))

    assert lines == [
        "2 containers stay under runc until they are recreated, then gVisor: a, b",
        "2 containers run in gVisor: c, d",
    ]


def test_what_would_be_refused_comes_first_as_a_warning_then_what_changes_then_the_rest() -> None:
    places = {
        "1": place("same"),
        "2": place("proxy", "runc", why="routes"),
        "3": before("old"),
        "4": place("agent", "refused", why="privileged"),
        "5": before("older", "refused", why="privileged"),
    }

    lines = place_lines(places, (), [IMAGE])

    named = [line.text.split(":")[0].split(" ")[0] for line in lines]
    assert (named[0], {*named[1:3]}) == ("image", {"agent", "older"})
    assert named[3:] == ["old", "proxy", "same"]
    assert [line.refused for line in lines] == [True] * 3 + [False] * 3
    assert lines[0] == PlaceLine(
        "image helper:2 is not accepted: with the mounts of coolify-helper it would be REFUSED, "
        "otherwise it runs in gVisor. Accept it only if it is the platform's: "
        "run pyinfra-gvisor accept sha256:9",
        refused=True,
    )


@table(
    "shape, command",
    with_a_name=("coolify-proxy", "accept coolify-proxy"),
    without=("node-exporter", "accept with the container's name"),
)
def test_an_image_whose_command_varies_is_accepted_by_containers(shape: str, command: str) -> None:
    (line,) = told(images=[UnacceptedImage(id="sha256:9", names=("x:3",), shapes=(shape,))])

    assert line.endswith(f"let the platform start it once, then run pyinfra-gvisor {command}")


@table(
    "container, item, text",
    into_the_sandbox=(app(**BARE), place(), "runc now, gVisor after the next start"),
    out_of_the_sandbox=(
        *(app(), place(where="runc", why=ROUTES)),
        f"gVisor now, runc after the next start ({ROUTES})",
    ),
    as_now=(app(), place(), "gVisor"),
)
def test_a_container_that_moves_is_told_so(container: Running, item: Place, text: str) -> None:
    found, identity = running_shop(container)

    (line,) = place_lines({identity: item}, found.containers, ())

    assert line.text == f"shop: {text}"


def test_a_node_that_was_not_asked_has_nothing_to_tell_and_a_watch_warns_of_whom_it_stops() -> None:
    found, wanted = node(), Watch((), (), action="stop")

    plan = plan_watch(WatchState(), wanted, init="systemd", stops=("shop",))

    assert (found.places, found.places_error, found.unaccepted_images) == ({}, None, ())
    assert place_lines(found.places, found.containers, found.unaccepted_images) == []
    assert plan.warnings == ("the watch will stop these containers: shop",)


@table(
    "line",
    half_a_place="place {",
    a_place_of_nobody="place {}",
    a_place_that_is_none="place " + compact({"id": "1", **before().model_dump(), "where": "moon"}),
    an_image_without_a_name='unaccepted {"id":1}',
    an_error_that_is_no_json="preview_error x",
)
def test_a_malformed_line_is_an_error(line: str) -> None:
    told_of = [*answer()[:-1], line, END]

    with pytest.raises(ValueError, match="malformed"):
        parse_node(told_of)


@table(
    "where, stops",
    not_infrastructure=("sandbox", ("shop",)),
    would_be_refused=("refused", ("shop",)),
    infrastructure=("runc", ()),
)
def test_a_watch_that_stops_names_what_it_will_stop(where: str, stops: tuple[str, ...]) -> None:
    found, number = running_shop(app(runtime="runc", here=False))
    found = found.model_copy(update={"places": {number: before(where=where)}})

    assert named_stops(found) == stops
