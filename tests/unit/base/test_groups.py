"""What inventories and the files beside them may say: groups, hosts of one name, settings."""

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
from pyinfra_gvisor.settings import Settings
from tests.arguments import Data, Patch
from tests.table import table
from tests.unit.settings.loaded_settings import good


@table(
    "groups, said",
    mistyped=(["cooolify"], "got cooolify; did you mean coolify?"),
    case=(["Coolify"], "got Coolify; did you mean coolify?"),
    beside_a_known_one=(["run", "biuld"], "did you mean build?"),
    longer=(["builder"], "did you mean build?"),
    plural=(["runs"], "did you mean run?"),
)
@pytest.mark.parametrize("declared", [True, False])
def test_a_group_like_a_known_one_is_refused(groups: list[str], said: str, declared: bool) -> None:
    with pytest.raises(Problem) as refused:
        refuse_groups(groups, declared=declared)

    assert said in str(refused.value)


def test_a_host_of_unknown_groups_for_which_nothing_is_declared_is_refused() -> None:
    with pytest.raises(
        Problem, match=r"none of the groups run, build and coolify.*got eu, factory"
    ):
        refuse_groups(["eu", "factory"], declared=False)


@table(
    "groups, declared",
    named_on_the_command_line=([], False),
    known=(["run"], False),
    own_ones_beside_a_known_one=(["run", "canary", "eu", "run2"], False),
    one_like_its_own=(["coolify", "coolify_eu"], False),
    own_ones=(["eu", "trunk", "run_eu", "runsc", "local", "lab"], True),
)
def test_groups_of_peoples_own_stay_possible(groups: list[str], declared: bool) -> None:
    refuse_groups(groups, declared=declared)


ONE, OTHER = {"ssh_hostname": "10.0.0.1"}, {"ssh_hostname": "10.0.0.2"}


@table(
    "lists",
    one_list={"run": [("web", ONE), ("web", OTHER)]},
    two_lists={"run": [("web", ONE)], "build": [("web", OTHER)]},
    with_data_and_without={"run": ["web", ("web", ONE)]},
    empty_data={"run": [("web", ONE), "other", ("web", {})]},
    all={"all": ["web"], "a": [("web", ONE)], "b": [("web", OTHER)]},
)
def test_two_hosts_of_one_name_are_refused(lists: Data) -> None:
    with pytest.raises(Problem, match="two hosts called web: ssh_hostname differs"):
        refuse_same_names(lists)


@table(
    "lists",
    canary_is_run_too={"canary": [("web", ONE)], "run": [("web", ONE)]},
    data_in_one_of_them={"canary": ["web"], "run": [("web", ONE)]},
    more_data={"a": [("web", ONE)], "b": [("web", {"_sudo": True})]},
    the_same_twice={"run": ["web", "web", "web-2"]},
)
def test_one_host_in_several_lists_is_one_host(lists: Data) -> None:
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
def _accepted(tmp_path: Path, monkeypatch: Patch) -> None:
    """A directory with what was accepted so far: nothing."""
    (tmp_path / "infrastructure.json").write_text("[]\n")
    monkeypatch.chdir(tmp_path)


def settings(text: str) -> Settings:
    """What the text of a file says; it must be good."""
    data: dict[str, Any] = {"__file__": str(GROUP_DATA / "group.py")}
    exec(text, data)  # noqa: S102  # a file of this checkout, as pyinfra loads it
    if data.get("gvisor_default"):  # one of the two, as the file says
        del data["gvisor_exempt"]
    return good(**data)


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


@table(
    "text, said",
    plain=("\ngvisor_default: 'sandbox'", "2: gvisor_default: has a type"),
    empty=("gvisor_egress: {}", "1: gvisor_egress: has a type"),
    misspelt=("gvisor_defualt: 'off'", "1: gvisor_defualt: has a type"),
    in_a_condition=("if True:\n gvisor_seal: {}", "2: gvisor_seal: has a type"),
    after_an_assignment=(
        "gvisor_default = 'off'\ngvisor_default: 'sandbox'",
        "2: gvisor_default: has a type",
    ),
    imported=("from shared import gvisor_egress", "1: gvisor_egress: is imported"),
    not_exported=(
        "__all__ = ['gvisor_seal']\ngvisor_seal = {}\ngvisor_egress = {}",
        "3: gvisor_egress: is not in __all__",
    ),
)
def test_a_setting_without_effect_is_told_by_its_line(text: str, said: str, tmp_path: Path) -> None:
    found = problems(tmp_path, group_data__run=text)

    assert [problem.partition(":")[2][: len(said)] for problem in found] == [said]


@table(
    "text",
    annotated_with_a_value="gvisor_default: str = 'sandbox'",
    typed_before_a_value="gvisor_egress: dict[str, str]\ngvisor_egress = {}",
    somebody_elses="other: 'gvisor_default'",
    in_a_function="def f():\n gvisor_default: 'sandbox'",
    all_of_a_module="from shared import *",
    imported_and_exported="from shared import gvisor_seal\n__all__ = ['gvisor_seal']",
)
def test_what_takes_effect_is_let_be(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, group_data__run=text) == []


@table(
    "name, text",
    deploy=("deploys__gvisor", "gvisor_default = 'sandbox'"),
    config=("config", "gvisor_default: str = 'sandbox'"),
    inventory=("inventories__run", "run = ['a']\ngvisor_exempt = []"),
)
def test_a_setting_outside_of_group_data_is_told(name: str, text: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, **{name: text})

    assert problem.startswith(f"{name.replace('__', '/')}.py:")
    assert "has no effect in this file; move it to group_data/run.py" in problem


def test_names_that_are_no_settings_are_let_be_everywhere(tmp_path: Path) -> None:
    inventory = "gvisor_nodes = ['a']\n_gvisor_default = 1\nrun = ['a']\n"

    assert problems(tmp_path, inventories__run=inventory, deploys__x="gvisor_mine = 1") == []


@table(
    "name, meant",
    run=("runs", "did you mean run.py? If not, write runs = []"),
    coolify=("cooolify", "did you mean coolify.py? If not, write"),
    own_group=("canry", "did you mean canary.py? If not, write"),
    like_none=("trunk", "; write trunk = [] in the inventory, or remove the file"),
    list_was_removed=("build", "; write build = [] in the inventory, or remove the file"),
)
def test_group_data_of_no_group_are_refused(name: str, meant: str, tmp_path: Path) -> None:
    inventory = "canary = []\nrun = ['a']\n"
    data = {f"group_data__{name}": "gvisor_release = '20260928.0'\n"}

    (problem,) = problems(tmp_path, inventories__run=inventory, **data)

    assert f"group_data/{name}.py: no inventory beside this file has a group {name}" in problem
    assert meant in problem


@table(
    "name, other",
    all=("all", ""),
    group=("run", ""),
    name_of_another_inventory=("lab", ""),
    empty_group_of_another_inventory=("eu", "eu = []"),
    imported_by_another_inventory=("eu", "from shared import eu"),
    what_only_a_run_would_tell=("eu", "from shared import *"),
    connector=("@terraform", ""),
)
def test_group_data_of_an_inventorys_group_are_taken(name: str, other: str, tmp_path: Path) -> None:
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "lab.py").write_text(other)

    assert problems(tmp_path, **{f"inventories__group_data__{name}": "x = 1"}) == []


@table(
    "path, content",
    folder_of_inventories=("inventories/eu/hosts.py", b"eu = ['a']"),
    what_is_no_python=("notes.py", b"this is no Python"),
    another_encoding=("old.py", b"x = '\xe9'"),
)
def test_what_lies_beside_group_data_is_no_fault(path: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_bytes(content)

    assert problems(tmp_path, group_data__eu="x = 1") == []


def test_group_data_are_judged_by_inventories_and_by_what_connectors_make(tmp_path: Path) -> None:
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
