"""What is done so that sandboxes have Docker's names, and on which nodes it cannot be had."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import FoundFile
from pyinfra_gvisor.part_api.plan import PartPlan
from pyinfra_gvisor.parts.resolver.files import DIRECTORY, SERVICE, SOCKET, kept_files
from pyinfra_gvisor.parts.resolver.plan import lacks, plan_resolver
from pyinfra_gvisor.parts.resolver.state import ResolverState
from tests.unit.resolver_answers import ABLE, there

BARE = ResolverState(**ABLE)
ANSWER = "answer DNS queries of sandboxes at 169.254.53.53 port 53, as Docker does"
STAYS = "the resolver stays, because these containers use it: shop, db"
REMOVED = ("stop the resolver", "remove 169.254.53.53 from lo")
MAIN = f"{DIRECTORY}/__main__.py"
DOWN = [
    pytest.param({"socket": "inactive"}, id="no-socket"),
    pytest.param({"socket": "failed"}, id="socket-failed"),
    pytest.param({"socket": None}, id="socket-unknown"),
    pytest.param({"service": "failed"}, id="program-failed"),
    pytest.param({"service": "activating"}, id="program-starts-again-and-again"),
    pytest.param({"service": "inactive"}, id="program-stopped"),
]


def test_a_node_without_it_gets_every_file() -> None:
    plan = plan_resolver(BARE, True)

    files = kept_files((), None)
    writes = tuple(f"write {item.path}" for item in files)
    assert plan == PartPlan("apply", (*writes, ANSWER), files=files)
    assert {SERVICE, SOCKET, MAIN} < {item.path for item in files}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="plain"),
        pytest.param({"named": ("9.9.9.9",), "textfile_dir": "/srv/text"}, id="with-all"),
    ],
)
def test_a_second_plan_does_nothing(settings: dict[str, Any]) -> None:
    installed = there(plan_resolver(BARE, True, **settings).files)

    assert plan_resolver(installed, True, **settings) == PartPlan()
    assert plan_resolver(installed, True, used_by=("shop",), **settings) == PartPlan()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"named": ("9.9.9.9",)}, id="other-resolvers"),
        pytest.param({"textfile_dir": "/srv/text"}, id="textfile"),
    ],
)
def test_what_is_declared_otherwise_is_written_and_nothing_else(settings: dict[str, Any]) -> None:
    plan = plan_resolver(there(), True, **settings)

    assert (plan.action, plan.lines) == ("apply", (f"write {SERVICE}", ANSWER))
    assert plan.files == kept_files(settings.get("named", ()), settings.get("textfile_dir"))


@pytest.mark.parametrize("changes", [*DOWN, pytest.param({"enabled": False}, id="not-enabled")])
def test_one_that_would_not_answer_is_started_and_nothing_is_written(
    changes: dict[str, Any],
) -> None:
    plan = plan_resolver(there(**changes), True)

    assert plan == PartPlan("apply", (ANSWER,), files=kept_files((), None))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"sha256": "0" * 64}, id="content"),
        pytest.param({"mode": "777"}, id="mode"),
        pytest.param({"owner": "1000:0"}, id="owner"),
    ],
)
def test_a_file_that_somebody_has_changed_is_put_right(change: dict[str, str]) -> None:
    files = there().files
    changed = {**files, MAIN: files[MAIN].model_copy(update=change)}

    plan = plan_resolver(there().model_copy(update={"files": changed}), True)

    assert (plan.action, plan.lines) == ("apply", (f"write {MAIN}", ANSWER))


def test_what_does_not_belong_there_goes() -> None:
    strays = (*there().files, f"{DIRECTORY}/unfinished")

    plan = plan_resolver(there(strays=strays), True)

    assert plan.lines == (f"remove {DIRECTORY}/unfinished", ANSWER)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(there(), id="all-of-it"),
        pytest.param(there(socket="failed", service="failed"), id="broken"),
        pytest.param(ResolverState(files={SOCKET: FoundFile(sha256="0" * 64)}), id="a-unit"),
        pytest.param(ResolverState(strays=(f"{DIRECTORY}/x",)), id="a-stray"),
        pytest.param(ResolverState(enabled=True), id="a-link"),
    ],
)
def test_one_that_is_not_wanted_and_that_nobody_asks_goes(found: ResolverState) -> None:
    assert plan_resolver(found, False) == PartPlan("remove", REMOVED)


def test_one_that_is_neither_wanted_nor_there_is_left_so() -> None:
    assert plan_resolver(BARE, False) == PartPlan()
    assert plan_resolver(BARE, False, used_by=("shop",)) == PartPlan()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as-installed"),
        pytest.param({"enabled": False}, id="not-behind-a-reboot"),
        pytest.param({"strays": (f"{DIRECTORY}/x",)}, id="more-than-ours"),
    ],
)
def test_one_that_containers_ask_stays_and_is_not_touched(changes: dict[str, Any]) -> None:
    plan = plan_resolver(there(**changes), False, used_by=("shop", "db"))

    assert plan == PartPlan("keep", (STAYS,))


@pytest.mark.parametrize("changes", DOWN)
def test_one_that_stays_is_made_to_answer(changes: dict[str, Any]) -> None:
    plan = plan_resolver(there(**changes), False, used_by=("shop", "db"))

    assert plan == PartPlan("apply", (STAYS, ANSWER), files=kept_files((), None))


@pytest.mark.parametrize(
    "directory",
    [
        pytest.param("text", id="relative"),
        pytest.param("/a b", id="blank"),
        pytest.param("/a%h", id="a-specifier-of-systemd"),
        pytest.param("/a\nExecStart=/bin/sh", id="another-line"),
        pytest.param("/a\n", id="an-end-of-line"),
    ],
)
def test_a_directory_that_cannot_be_in_a_unit_is_refused(directory: str) -> None:
    with pytest.raises(Problem, match="cannot be written into a systemd unit, got ") as refused:
        plan_resolver(BARE, True, textfile_dir=directory)

    assert refused.value.todo == "write an absolute path of letters, digits and ._-"


WHAT = 'runtimes with "dns": "docker" need'


@pytest.mark.parametrize(
    ("changes", "init", "message"),
    [
        pytest.param(
            {},
            "init",
            f'{WHAT} systemd on the node, got init; remove "dns" from gvisor_runtimes for this '
            "node",
            id="no-systemd",
        ),
        pytest.param(
            {"python": "", "modules": ()},
            "systemd",
            f"{WHAT} Python 3.10 or later, got none; apt-get install python3",
            id="no-python",
        ),
        pytest.param(
            {"python": "3.9"},
            "systemd",
            f"{WHAT} Python 3.10 or later, got 3.9; apt-get install python3",
            id="too-old",
        ),
        pytest.param(
            {"python": "3.13", "modules": ("ctypes",)},
            "systemd",
            f"{WHAT} Python's asyncio, which python3-minimal lacks, got Python 3.13; "
            "apt-get install python3",
            id="no-asyncio",
        ),
        pytest.param(
            {"python": "3.11", "modules": ()},
            "systemd",
            f"{WHAT} Python's asyncio and ctypes, which python3-minimal lacks, got Python 3.11; "
            "apt-get install python3",
            id="neither-module",
        ),
        pytest.param(
            {"ip": False},
            "systemd",
            f"{WHAT} ip, got none; apt-get install iproute2",
            id="no-ip",
        ),
        pytest.param(
            {"shared": False},
            "systemd",
            f"{WHAT} `/` as a shared mount, got a private mount; run `mount --make-rshared /` at "
            "every boot",
            id="private-mounts",
        ),
    ],
)
def test_a_node_on_which_it_could_not_run_is_refused_with_the_way_out(
    changes: dict[str, Any], init: str, message: str
) -> None:
    problem = lacks(ResolverState(**{**ABLE, **changes}), init=init)

    assert str(problem) == message


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="debian-13"),
        pytest.param({"python": "3.10"}, id="the-oldest"),
        pytest.param({"python": "3.12", "modules": ("asyncio",)}, id="setns-without-ctypes"),
        pytest.param({"python": "4.0"}, id="a-later-one"),
        pytest.param({"python": "3.12.3"}, id="three-numbers"),
    ],
)
def test_a_node_on_which_it_can_run_is_not_refused(changes: dict[str, Any]) -> None:
    assert lacks(ResolverState(**{**ABLE, **changes}), init="systemd") is None
