"""What inventories and the files beside them may say: groups, hosts of one name, settings."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.groups import refuse_groups
from pyinfra_gvisor.planning.ignored import ignored, sort_files
from pyinfra_gvisor.planning.names import refuse_same_names
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        pytest.param(["cooolify"], "got cooolify; did you mean coolify?", id="mistyped"),
        pytest.param(["Coolify"], "got Coolify; did you mean coolify?", id="case"),
        pytest.param(["run", "biuld"], "did you mean build?", id="beside-a-known-one"),
        pytest.param(["builder"], "did you mean build?", id="longer"),
        pytest.param(["runs"], "did you mean run?", id="plural"),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_a_group_that_looks_like_a_known_one_is_refused(
    groups: list[str], said: str, declared: bool
) -> None:
    with pytest.raises(Problem) as refused:
        refuse_groups(groups, declared=declared)

    assert said in str(refused.value)


def test_a_host_of_unknown_groups_for_which_nothing_is_declared_is_refused() -> None:
    with pytest.raises(
        Problem, match=r"none of the groups run, build and coolify.*got eu, factory"
    ):
        refuse_groups(["eu", "factory"], declared=False)


@pytest.mark.parametrize(
    ("groups", "declared"),
    [
        pytest.param([], False, id="named-on-the-command-line"),
        pytest.param(["run"], False, id="known"),
        pytest.param(["run", "canary", "eu", "run2"], False, id="own-ones-beside-a-known-one"),
        pytest.param(["coolify", "coolify_eu"], False, id="one-like-its-own"),
        pytest.param(["eu", "trunk", "run_eu", "runsc", "local", "lab"], True, id="own-ones"),
    ],
)
def test_groups_of_peoples_own_stay_possible(groups: list[str], declared: bool) -> None:
    refuse_groups(groups, declared=declared)


ONE, OTHER = {"ssh_hostname": "10.0.0.1"}, {"ssh_hostname": "10.0.0.2"}


@pytest.mark.parametrize(
    "lists",
    [
        pytest.param({"run": [("web", ONE), ("web", OTHER)]}, id="one-list"),
        pytest.param({"run": [("web", ONE)], "build": [("web", OTHER)]}, id="two-lists"),
        pytest.param({"run": ["web", ("web", ONE)]}, id="with-data-and-without"),
        pytest.param({"run": [("web", ONE), "other", ("web", {})]}, id="empty-data"),
        pytest.param({"all": ["web"], "a": [("web", ONE)], "b": [("web", OTHER)]}, id="all"),
    ],
)
def test_two_hosts_of_one_name_are_refused(lists: dict[str, Any]) -> None:
    with pytest.raises(Problem, match="two hosts called web: ssh_hostname differs"):
        refuse_same_names(lists)


@pytest.mark.parametrize(
    "lists",
    [
        pytest.param({"canary": [("web", ONE)], "run": [("web", ONE)]}, id="canary-is-run-too"),
        pytest.param({"canary": ["web"], "run": [("web", ONE)]}, id="data-in-one-of-them"),
        pytest.param({"a": [("web", ONE)], "b": [("web", {"_sudo": True})]}, id="more-data"),
        pytest.param({"run": ["web", "web", "web-2"]}, id="the-same-twice"),
    ],
)
def test_one_host_in_several_lists_is_one_host(lists: dict[str, Any]) -> None:
    refuse_same_names(lists)


def test_a_password_that_differs_is_not_shown() -> None:
    entries = [("web", {"ssh_password": "hunter2"}), ("web", {"ssh_password": "other"})]

    with pytest.raises(Problem, match=r"ssh_password differs \(list run\), got \*\*\*") as refused:
        refuse_same_names({"run": entries})

    assert "hunter2" not in str(refused.value)


GROUP_DATA = Path(__file__).parents[3] / "inventories" / "group_data"
# A line of code: a setting, or an entry of one that is a dictionary.
_OFFERED = re.compile(r'^( *)# (gvisor_[a-z_]+ = .*|"[a-z]+": \{.*\},)$', re.MULTILINE)


@pytest.fixture
def _accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with what was accepted so far: nothing."""
    (tmp_path / "infrastructure.json").write_text("[]\n")
    monkeypatch.chdir(tmp_path)


def settings(text: str) -> Settings:
    """What the text of a file says; it must be good."""
    data: dict[str, Any] = {"__file__": str(GROUP_DATA / "group.py")}
    exec(text, data)  # noqa: S102  # a file of this checkout, as pyinfra loads it
    if data.get("gvisor_default"):  # one of the two, as the file says
        del data["gvisor_exempt"]
    found, problems = load_settings(data)
    assert found, problems
    return found


@pytest.mark.usefixtures("_accepted")
@pytest.mark.parametrize("group", ["all", "build", "coolify", "run"])
def test_the_example_is_good_with_and_without_what_it_offers(group: str) -> None:
    text = (GROUP_DATA / f"{group}.py").read_text()

    settings(text)
    settings(_OFFERED.sub(r"\1\2", text))


@pytest.mark.usefixtures("_accepted")
def test_a_second_runtime_with_a_network_stack_of_its_own_is_ready_made() -> None:
    text = (GROUP_DATA / "run.py").read_text()

    found = settings(_OFFERED.sub(r"\1\2", text))

    assert settings(text).runtimes == {"runsc": Runtime(network="host")}
    assert found.runtimes["gvisor"].network == "sandbox"
    assert found.runtimes["gvisor"].dns == "docker"
    assert found.dispatch
    assert found.egress
    assert found.kernel is not None


def problems(directory: Path, **texts: str) -> list[str]:
    """What is said about a fleet's files; a name has two underscores for each slash."""
    texts = {"inventories__run": "run = ['a']\n", **texts}
    paths = [directory / f"{name.replace('__', '/')}.py" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    files = sort_files(paths)
    return [str(problem).replace(f"{directory}/", "") for problem in ignored(files)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("\ngvisor_default: 'sandbox'", "2: gvisor_default: has a colon", id="plain"),
        pytest.param("gvisor_egress: {}", "1: gvisor_egress: has a colon", id="empty"),
        pytest.param("gvisor_defualt: 'off'", "1: gvisor_defualt: has a colon", id="misspelt"),
        pytest.param(
            "if True:\n gvisor_seal: {}", "2: gvisor_seal: has a colon", id="in-a-condition"
        ),
        pytest.param(
            "gvisor_default = 'off'\ngvisor_default: 'sandbox'",
            "2: gvisor_default: has a colon",
            id="after-an-assignment",
        ),
        pytest.param(
            "from shared import gvisor_egress", "1: gvisor_egress: is imported", id="imported"
        ),
        pytest.param(
            "__all__ = ['gvisor_seal']\ngvisor_seal = {}\ngvisor_egress = {}",
            "3: gvisor_egress: is not in __all__",
            id="not-exported",
        ),
    ],
)
def test_a_setting_that_group_data_do_not_have_is_told_with_its_line(
    text: str, said: str, tmp_path: Path
) -> None:
    found = problems(tmp_path, group_data__run=text)

    assert [problem.partition(":")[2][: len(said)] for problem in found] == [said]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("gvisor_default: str = 'sandbox'", id="annotated-with-a-value"),
        pytest.param(
            "gvisor_egress: dict[str, str]\ngvisor_egress = {}", id="typed-before-a-value"
        ),
        pytest.param("other: 'gvisor_default'", id="somebody-elses"),
        pytest.param("def f():\n gvisor_default: 'sandbox'", id="in-a-function"),
        pytest.param("from shared import *", id="all-of-a-module"),
        pytest.param(
            "from shared import gvisor_seal\n__all__ = ['gvisor_seal']", id="imported-and-exported"
        ),
    ],
)
def test_what_takes_effect_is_let_be(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, group_data__run=text) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("deploys__gvisor", "gvisor_default = 'sandbox'", id="deploy"),
        pytest.param("config", "gvisor_default: str = 'sandbox'", id="config"),
        pytest.param("inventories__run", "run = ['a']\ngvisor_exempt = []", id="inventory"),
    ],
)
def test_a_setting_outside_of_group_data_is_told_with_where_it_belongs(
    name: str, text: str, tmp_path: Path
) -> None:
    (problem,) = problems(tmp_path, **{name: text})

    assert problem.startswith(f"{name.replace('__', '/')}.py:")
    assert "has no effect in this file; move it to group_data/run.py" in problem


def test_names_that_are_no_settings_are_let_be_everywhere(tmp_path: Path) -> None:
    inventory = "gvisor_nodes = ['a']\n_gvisor_default = 1\nrun = ['a']\n"

    assert problems(tmp_path, inventories__run=inventory, deploys__x="gvisor_mine = 1") == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("runs", "did you mean run.py? If not, rename", id="run"),
        pytest.param("cooolify", "did you mean coolify.py? If not, rename", id="coolify"),
        pytest.param("canry", "did you mean canary.py? If not, rename", id="own-group"),
        pytest.param("trunk", "; rename the file, or add the group", id="like-none"),
    ],
)
def test_group_data_of_no_group_are_refused(name: str, meant: str, tmp_path: Path) -> None:
    inventory = "canary = []\nrun = ['a']\n"
    data = {f"group_data__{name}": "gvisor_release = '20260928.0'\n"}

    (problem,) = problems(tmp_path, inventories__run=inventory, **data)

    assert f"group_data/{name}.py: no inventory beside this file has a group {name}" in problem
    assert meant in problem


@pytest.mark.parametrize(
    ("name", "other"),
    [
        pytest.param("all", "", id="all"),
        pytest.param("run", "", id="group"),
        pytest.param("lab", "", id="name-of-another-inventory"),
        pytest.param("eu", "eu = []", id="empty-group-of-another-inventory"),
        pytest.param("eu", "from shared import eu", id="imported-by-another-inventory"),
        pytest.param("eu", "from shared import *", id="what-only-a-run-would-tell"),
        pytest.param("@terraform", "", id="connector"),
    ],
)
def test_group_data_of_a_group_of_any_inventory_beside_are_taken(
    name: str, other: str, tmp_path: Path
) -> None:
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "lab.py").write_text(other)

    assert problems(tmp_path, **{f"inventories__group_data__{name}": "x = 1"}) == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        pytest.param("inventories/eu/hosts.py", b"eu = ['a']", id="folder-of-inventories"),
        pytest.param("notes.py", b"this is no Python", id="what-is-no-python"),
        pytest.param("old.py", b"x = '\xe9'", id="another-encoding"),
    ],
)
def test_whatever_lies_beside_the_group_data_stops_nobody(
    path: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_bytes(content)

    assert problems(tmp_path, group_data__eu="x = 1") == []


def test_group_data_are_judged_by_inventories_and_by_what_a_connector_has_made(
    tmp_path: Path,
) -> None:
    data, inventory = tmp_path / "group_data" / "web.py", tmp_path / "run.py"
    data.parent.mkdir()
    data.write_text("x = 1")
    without = list(ignored(sort_files([Path("config.py"), data])))
    inventory.write_text("x = 1")

    files = sort_files([inventory, data])

    assert without == [] == list(ignored(files, ["web"]))
    assert len(list(ignored(files))) == 1


def test_build_nodes_alone_are_an_inventory(tmp_path: Path) -> None:
    text = (GROUP_DATA.parent / "run.py").read_text()
    edited = tmp_path / "run.py"
    edited.write_text(text.replace('# "build-1.example.com"', '"build-1.example.com"'))

    found = runpy.run_path(str(edited))

    assert (found["build"], found["run"]) == (["build-1.example.com"], [])
