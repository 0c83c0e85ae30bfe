"""``pyinfra-gvisor infrastructure`` and ``accept``: what is run, shown, asked and written."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.command import fleet
from pyinfra_gvisor.command.__main__ import main
from pyinfra_gvisor.platforms.discovered import FOUND_DIR, WANTED, HostFound, write_found
from tests.arguments import Data, Patch, Printed
from tests.table import table
from tests.unit.dispatch.infrastructure import IMAGE, container, image, pulled

FILE = "infrastructure.json"
FOUND = HostFound("run-1", FILE, (), pulled(image()), "sandbox")
NAMED = HostFound("run-1", FILE, (), replace(pulled(), names=("shop", "coolify-proxy")), "sandbox")

Runs = list[tuple[list[str], list[str]]]
Answering = Callable[..., Runs]
Typing = Callable[[str], None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: Patch) -> Path:
    """The directory of a fleet that the command is typed in."""
    monkeypatch.chdir(tmp_path)
    main(["init", "run-1"])
    return tmp_path


@pytest.fixture
def answer(monkeypatch: Patch) -> Callable[..., Runs]:
    """Have pyinfra answer so, without nodes; what it is run with is what comes back."""
    runs: Runs = []

    def with_(*found: HostFound, code: int = 0) -> Runs:
        def run(words: list[str], *, environment: Mapping[str, str] | None = None) -> int:
            given = environment or {}
            runs.append((list(words), json.loads(given.get(WANTED, "[]"))))
            for number, item in enumerate(found if FOUND_DIR in given else ()):
                write_found(Path(given[FOUND_DIR]), number, item)
            return code

        monkeypatch.setattr("pyinfra_gvisor.command.infrastructure.run_pyinfra", run)
        return runs

    return with_


@pytest.fixture
def types(monkeypatch: Patch) -> Callable[[str], None]:
    """Have somebody at a terminal type a line."""

    def line(text: str) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("click.confirm", lambda *_, **__: text == "y")

    return line


def written(here: Path) -> list[Data]:
    """The entries in the file."""
    found: list[dict[str, Any]] = json.loads((here / FILE).read_text())
    return found


def test_infrastructure_is_a_deploy_on_the_hosts_named(here: Path, answer: Answering) -> None:
    runs = answer()

    typed = ["infrastructure", "--limit", "run-1", "--limit", "eu", "--", "--ssh-user", "debian"]

    assert main(typed) == 0

    words = ["-y", "--limit=run-1", "--limit=eu", "--ssh-user", "debian"]
    assert runs == [([fleet.INVENTORY, "deploys/infrastructure.py", *words], [])]


def test_a_fleet_from_before_takes_this_packages_deploy(here: Path, answer: Answering) -> None:
    runs = answer()
    (here / "deploys/infrastructure.py").unlink()

    assert main(["infrastructure"]) == 0

    (words, _), *_ = runs
    assert Path(words[1]).is_absolute()
    assert Path(words[1]).read_text().startswith('"""\nWhat each node has of the platform')


def test_an_image_is_written_and_applied(here: Path, answer: Answering, capsys: Printed) -> None:
    runs = answer(FOUND)

    assert main(["accept", IMAGE, "-y", "--limit", "run", "--reason", "we compared the id"]) == 0
    assert [item["shape"] for item in written(here)] == ["coolify-cleanup", "coolify-helper"]
    assert {item["reason"] for item in written(here)} == {"we compared the id"}
    assert runs == [
        ([fleet.INVENTORY, "deploys/infrastructure.py", "-y", "--limit=run"], [IMAGE]),
        ([fleet.INVENTORY, "deploys/gvisor.py", "-y", "--limit=run-1"], []),
    ]
    said = capsys.readouterr().out
    assert f"image    {IMAGE}\ntags     docker.io/coollabsio/coolify-helper:1.0.15\n" in said
    assert "runs     /sbin/tini -- tail -f /dev/null, as user root\non       run-1\n" in said


@table("words, whole", short=((), False), long=(("--", "-v"), True))
@pytest.mark.usefixtures("here")
def test_the_whole_entry_is_shown_on_demand(
    answer: Answering, capsys: Printed, words: tuple[str, ...], *, whole: bool
) -> None:
    answer(FOUND)

    assert main(["accept", IMAGE, "-y", *words]) == 0

    assert ('"shape": "coolify-helper"' in capsys.readouterr().out) is whole


def test_somebody_who_says_no_writes_nothing(here: Path, answer: Answering, types: Typing) -> None:
    runs = answer(FOUND)
    types("n")

    assert main(["accept", IMAGE]) == 1

    assert not (here / FILE).exists()
    assert len(runs) == 1


BUILT = replace(FOUND, pulled=pulled({**image(), "RepoDigests": []}))
SHOP = image("shop:1")
APP = {"coolify.managed": "true", "coolify.type": "application", "coolify.name": "shop"}
TENANT = replace(FOUND, pulled=pulled(SHOP, container("shop", of=SHOP, labels=APP)))


@table("found", plain=FOUND, doubtful=BUILT)
def test_somebody_who_says_yes_is_asked_by_pyinfra_before_a_change(
    here: Path, answer: Answering, types: Typing, found: HostFound
) -> None:
    runs = answer(found)
    types("y")

    assert main(["accept", IMAGE]) == 0

    assert len(written(here)) == 2
    assert runs[-1][0] == [fleet.INVENTORY, "deploys/gvisor.py", "--limit=run-1"]


def test_what_is_accepted_already_is_not_asked_again_and_comes_to_the_nodes(
    here: Path, answer: Answering, capsys: Printed
) -> None:
    runs = answer(FOUND)
    main(["accept", IMAGE, "-y"])
    before = (here / FILE).read_text()

    assert main(["accept", IMAGE, "-y"]) == 0

    assert (here / FILE).read_text() == before
    assert "infrastructure.json: already accepted" in capsys.readouterr().out
    assert len(runs) == 4


def test_only_nodes_on_which_an_entry_has_effect_are_changed(here: Path, answer: Answering) -> None:
    others = [
        replace(FOUND, host="run-2"),
        HostFound("run-3", FILE, (), pulled(), "sandbox-all"),
        HostFound("control", None, (), pulled(image())),
        replace(FOUND, host="before", default="off"),
    ]
    runs = answer(FOUND, *others)

    assert main(["accept", IMAGE, "-y"]) == 0

    limits = ["--limit=run-1", "--limit=run-2", "--limit=run-3"]
    assert runs[-1][0] == [fleet.INVENTORY, "deploys/gvisor.py", "-y", *limits]


@table(
    "default, code, count, said",
    before_a_switch=("off", 0, 1, "entries take effect with gvisor_default"),
    a_run_fails_though_others_are_changed=("sandbox", 1, 2, ""),
)
def test_it_is_only_written_before_a_switch_and_a_failed_run_is_a_failure(
    here: Path,
    answer: Answering,
    capsys: Printed,
    *,
    default: str,
    code: int,
    count: int,
    said: str,
) -> None:
    runs = answer(replace(FOUND, default=default), code=code)

    assert main(["accept", IMAGE, "-y"]) == code

    assert (len(runs), len(written(here))) == (count, 2)
    assert said in capsys.readouterr().out


@table("found, thing", made_on_the_node=(BUILT, IMAGE), of_a_tenant=(TENANT, "shop"))
def test_yes_does_not_accept_a_doubtful_thing_without_a_reason(
    here: Path, answer: Answering, capsys: Printed, found: HostFound, thing: str
) -> None:
    answer(found)

    assert main(["accept", thing, "-y"]) == 1
    assert not (here / FILE).exists()
    assert "-y does not accept this without a reason" in capsys.readouterr().err
    assert main(["accept", thing, "-y", "--reason", "we built it ourselves"]) == 0


def test_entries_of_others_stay(here: Path, answer: Answering) -> None:
    theirs = {
        "image": f"sha256:{'e' * 64}",
        "reason": "our own agent",
        "name": "agent",
        "without_labels": ["com.docker.compose."],
    }
    (here / FILE).write_text(json.dumps([theirs]))
    answer(FOUND)

    assert main(["accept", IMAGE, "-y"]) == 0

    assert theirs in written(here)
    assert len(written(here)) == 3


@table(
    "typed, found, says",
    tag=(["-y", "docker.io/coollabsio/coolify-helper:1"], [FOUND], "a name does not identify"),
    reason=(["-y", IMAGE, "--reason", "short"], [FOUND], "--reason is too short"),
    unknown=(["-y", "f" * 12], [FOUND], "no node has such an image or container"),
    misspelt=(["-y", "coolify-proxi"], [NAMED], "did you mean coolify-proxy?"),
    nothing=(["-y", "--", "--ssh-user", "x"], [FOUND], "give the id of an image"),
    no_terminal=([IMAGE], [FOUND], "stdin is no terminal; add -y"),
    no_node=(["-y", IMAGE], [], "no node could be read; see the errors above; nothing was changed"),
)
def test_what_cannot_be_accepted_is_refused_and_nothing_is_written(
    here: Path, answer: Answering, capsys: Printed, *, typed: list[str], found: Any, says: str
) -> None:
    runs = answer(*found, code=0 if found else 1)

    assert main(["accept", *typed]) == 1

    assert says in capsys.readouterr().err
    assert not (here / FILE).exists()
    assert "-y" in typed or runs == []


def test_a_damaged_file_is_left_as_it_is(here: Path, answer: Answering, capsys: Printed) -> None:
    (here / FILE).write_text("[\n<<<<<<< HEAD\n")
    answer(FOUND)

    assert main(["accept", IMAGE, "-y"]) == 1

    assert "infrastructure.json: line 2 column 1" in capsys.readouterr().err
    assert (here / FILE).read_text() == "[\n<<<<<<< HEAD\n"
