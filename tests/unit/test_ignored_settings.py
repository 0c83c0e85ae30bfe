"""Which settings in an operator's files would do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.preflight.ignored import ignored, sort_files


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
        pytest.param("gvisor_egress: dict", "1: gvisor_egress: has a colon", id="a-type-alone"),
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


def test_group_data_are_not_judged_without_any_inventory(tmp_path: Path) -> None:
    data = tmp_path / "group_data" / "web.py"
    data.parent.mkdir()
    data.touch()

    assert list(ignored(sort_files([Path("config.py"), data]))) == []


def test_a_group_that_a_connector_has_made_is_a_group(tmp_path: Path) -> None:
    data = tmp_path / "group_data" / "web.py"
    data.parent.mkdir()
    for path in (data, tmp_path / "run.py"):
        path.write_text("x = 1")

    files = sort_files([tmp_path / "run.py", data])

    assert len(list(ignored(files))) == 1
    assert list(ignored(files, ["web"])) == []
