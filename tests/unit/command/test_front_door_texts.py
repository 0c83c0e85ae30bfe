"""What a newcomer reads first can be done as it is written, and fits what the package has."""

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pyinfra_gvisor.command import fleet
from pyinfra_gvisor.command.__main__ import cli
from pyinfra_gvisor.dispatch.accepted import FILE, write_accepted
from pyinfra_gvisor.settings import PREFIX, load_settings
from tests.arguments import Data
from tests.documented import (
    DOCS,
    HOW_TO,
    PAGES,
    README,
    ROOT,
    START,
    Block,
    Command,
    all_commands,
    blocks,
)
from tests.picture import CAPTURED, PICTURE, picture
from tests.table import table
from tools.__main__ import cli as tools

OUTSIDE = ("https://gvisor.dev", "https://pyinfra.com", "https://coolify.io")
PROGRAM = "pyinfra-gvisor"
SHA512 = "0" * 128

EVERY_PAGE = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/inventories"))
EDITED = {fleet.INVENTORY, *(name for name in fleet.files(fleet.Fleet()) if "group_data/" in name)}
"""Files of a fleet that are the operator's to edit."""

TYPED = [command for page in (README, *PAGES) for command in all_commands(page)]
SPAN = re.compile(rf"`({PROGRAM}|python -m tools) (?!COMMAND)([^`…]+)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def of(commands: list[Command], program: str) -> list[Any]:
    """The words behind a program's name, as parameters of a test."""
    return [
        pytest.param(words[1:], id=f"{command.place} {' '.join(words[1:3])}")
        for command in commands
        for words in command.words()
        if words[0] == program
    ]


def each_block(pages: Iterable[Path], language: str) -> pytest.MarkDecorator:
    """Have a test for each block of this language."""
    every = [block for page in pages for block in blocks(page)]
    return table("block", {item.place: item for item in every if item.language == language})


def parse(words: list[str], command: click.Command = cli) -> click.Context:
    """The command line as click takes it. Raises ``click.ClickException`` if it is wrong."""
    context = click.Context(cli, info_name=PROGRAM)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command = found

    lenient = bool({"--version", "--help"} & {*rest})  # which end it by themselves
    parsed = command.make_context(words[0], rest, parent=context, resilient_parsing=lenient)
    if (options := parsed.params.get("options")) and not options[0].startswith("-"):
        raise click.UsageError(f"unexpected argument {options[0]}")
    return parsed


def test_the_readme_is_short_and_links_only_to_the_web() -> None:
    text = README.read_text(encoding="utf-8")

    links = re.findall(r"\]\(([^)]*)\)", text)

    assert len(text) <= 6000
    assert links
    assert {link for link in links if not link.startswith(OUTSIDE)} == set()


def test_the_paths_that_the_readme_names_are_there() -> None:
    named = re.findall(r"`((?:docs/|[A-Z]+\b)[\w./-]*)`", README.read_text(encoding="utf-8"))

    paths = {name for name in named if name.startswith("docs/") or name.endswith(".md")}

    assert len(paths) > 5
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_the_readme_has_the_first_commands_of_getting_started() -> None:
    typed = [command.text for command in all_commands(README)]

    begin = [command.text for command in all_commands(START)]

    assert 0 < len(typed) <= 8
    assert [text for text in begin if text in typed][: len(typed)] == typed


def test_every_how_to_page_is_one_that_is_tried() -> None:
    assert {path.stem for path in (DOCS / "how-to").glob("*.md")} - {"compose"} == set(HOW_TO)


@pytest.mark.parametrize("words", of(TYPED, PROGRAM))
def test_a_documented_command_is_one_of_ours(words: list[str]) -> None:
    assert parse(words).command


@pytest.mark.parametrize("words", of(TYPED, "python"))
def test_a_documented_command_of_a_clone_is_one_of_its_tools(words: list[str]) -> None:
    assert words[:2] == ["-m", "tools"]
    assert parse(words[2:], tools).command


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_in_the_text_is_one_of_ours(page: Path) -> None:
    for program, words in SPAN.findall(page.read_text(encoding="utf-8")):
        try:
            parse(words.split(), cli if program == PROGRAM else tools)
        except click.ClickException as error:
            pytest.fail(f"{page.relative_to(ROOT)}: {words}: {error.format_message()}")


@pytest.mark.parametrize(
    "words", [["aply"], ["plan", "--limits", "a"], ["lab", "up"], ["plan", "x"]]
)
def test_a_command_that_does_not_exist_is_found(words: list[str]) -> None:
    with pytest.raises(click.ClickException):
        parse(words)


@each_block(EVERY_PAGE, "python")
def test_settings_in_a_page_are_valid(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_accepted(tmp_path / FILE, ())
    data = settings_of(block.text)

    _, problems = load_settings(data)

    assert problems == {}


def settings_of(text: str) -> Data:
    """The settings that a piece of Python assigns or gives to a host, with sums where ``…`` is."""
    tree = ast.parse(text.replace('"…"', f'"{SHA512}"').replace('"..."', f'"{SHA512}"'))
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(name := node.targets[0], ast.Name):
            if name.id.startswith(PREFIX):
                found[name.id] = ast.literal_eval(node.value)
        elif isinstance(node, ast.Dict):
            found |= {
                key.value: ast.literal_eval(value)
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and str(key.value).startswith(PREFIX)
            }
    return found


def test_a_wrong_setting_in_a_page_is_found() -> None:
    _, problems = load_settings(settings_of('("run-1", {"gvisor_docker": "yes"})'))

    assert list(problems) == ["gvisor_docker"]


@each_block(PAGES, "yaml")
def test_what_a_page_gives_a_machine_to_run_parses(block: Block, tmp_path: Path) -> None:
    scripts = [text for text in _strings(yaml.safe_load(block.text)) if PROGRAM in text]

    assert scripts
    for text in scripts:
        script = re.sub(r"\$\{\{.*?\}\}", "x", text)
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
        for line in script.splitlines():
            if found := re.match(rf"(?:\S*/)?{PROGRAM} ([\w -]+)", line.strip()):
                parse(found[1].split())


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def test_the_user_data_declares_valid_settings() -> None:
    [block] = [block for block in blocks(DOCS / "how-to/cloud-init.md") if block.language == "yaml"]
    files = {item["path"]: item["content"] for item in yaml.safe_load(block.text)["write_files"]}

    data = settings_of(files["/root/gvisor/settings.py"])

    assert block.text.startswith("#cloud-config\n")
    assert set(data) == {"gvisor_release", "gvisor_runtimes", "gvisor_docker"}
    assert load_settings(data)[1] == {}


SECURITY, THREATS = (
    (DOCS / f"{name}.md").read_text("utf-8") for name in ("security", "threat-model")
)
TABLE = SECURITY.partition("<!-- attacks -->\n")[2].partition("<!-- /attacks -->")[0]
ATTACKS = [line.strip("| ").split(" | ") for line in TABLE.splitlines()[2:]]
ATTACKERS = re.findall(
    r"^\| (an? [^|]+?) \| ",
    THREATS.partition("## Attackers\n")[2].partition("\n## ")[0],
    re.MULTILINE,
)


@pytest.mark.parametrize("row", [pytest.param(row, id=row[-1].strip("`")) for row in ATTACKS])
def test_an_attack_is_of_somebody_who_is_named_and_is_made_by_tests(row: list[str]) -> None:
    what, where, held, tests = row

    assert all((what, held, TEST.findall(tests)))
    assert where in ATTACKERS


@table("page", security=SECURITY, threat_model=THREATS)
def test_a_page_names_tests_that_are_there(page: str) -> None:
    named = TEST.findall(page)

    assert len(named) > 10
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}, name


def test_the_threat_model_names_the_attackers() -> None:
    assert {"a tenant", "a local user"} <= set(ATTACKERS)
    assert len(ATTACKS) > 10


def test_the_picture_is_made_from_what_was_captured_and_asks_no_other_host() -> None:
    made = picture(CAPTURED.read_text(encoding="utf-8"))

    assert PICTURE.read_text(encoding="utf-8") == made
    assert set(re.findall(r"https?://[^\"' )]+", made)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_as_init_writes_it_but_for_inventory_and_settings(example: Path) -> None:
    written = fleet.files(fleet.Fleet())

    found = {
        str(path.relative_to(example)): path.read_text(encoding="utf-8")
        for path in example.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert set(found) == {*written, "README.md"}
    assert [name for name in written if name not in EDITED and found[name] != written[name]] == []
    for name, text in found.items():
        if name.endswith(".py"):
            ast.parse(text, name)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_settings_of_an_examples_hosts_are_valid(example: Path) -> None:
    hosts = list(_hosts(example))

    problems = {name: load_settings(data)[1] for name, data in hosts}

    assert len(hosts) > 1
    assert {name: found for name, found in problems.items() if found} == {}


def _hosts(example: Path) -> Iterator[tuple[str, Data]]:
    """Yield each host of an example with its data, as pyinfra puts them together."""
    everywhere = _assigned(example / "group_data/all.py")
    assigned = _assigned(example / fleet.INVENTORY)
    lists = {name: hosts for name, hosts in assigned.items() if hosts and isinstance(hosts, list)}
    for group, hosts in lists.items():
        settings = example / "group_data" / f"{group}.py"
        data = _assigned(settings) if settings.exists() else {}
        for host in hosts:
            name, own = host if isinstance(host, tuple) else (host, {})
            if group != "canary":  # they are in the list run as well
                yield name, {**everywhere, **data, **own}


def _assigned(path: Path) -> Data:
    found: dict[str, Any] = {}
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), found)  # noqa: S102 - ours
    return {name: value for name, value in found.items() if not name.startswith("__")}


def test_there_is_an_example_for_each_kind_of_operator() -> None:
    assert [path.name for path in EXAMPLES] == ["air-gapped", "coolify", "docker-hosts"]
