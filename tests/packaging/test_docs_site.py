"""The docs as a site: it builds without a warning, links nowhere else, and names what is there."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from pyinfra_gvisor.command.__main__ import COMMANDS, cli
from pyinfra_gvisor.proof.check import CONTROL
from tests.packaging.checkout import ROOT, files

DOCS = ROOT / "docs"
PAGES = [path for path in files("docs") if path.suffix == ".md"]
RECORDS = Path("docs/compatibility")
OTHERS = {"docs/ops.md", "docs/sample.md"}  # a page of containerd's, and one that a test makes
PAGE_NAME = re.compile(r"\bdocs/[\w./-]+\.md(?:#[a-z0-9_-]+)?")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")
MESSAGES = {"you see", "message", "the line says"}
"""What the first column of a table is called that quotes messages."""

NOT_OURS = {
    "/etc/sysctl.d/99-x.conf sets …",
    "No route to host",
    "Permission denied",
    "mount source already has a filestore file",
    "network: sandbox",
    'gvisor_restart = "reload"',
    "Temporary failure in name resolution",
    "cuse is built into this kernel",
    "tipc is loaded (used by 2)",
}
"""What such a column quotes of gVisor, the kernel and the settings, or with an example's names."""


class Page(HTMLParser):
    """What a page of the site loads, and what headings and links it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids.add(found.get("id", ""))
        if tag in ("script", "img", "iframe", "source"):
            self.loaded.append(found.get("src", ""))
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.loaded.append(found.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. ``--strict`` makes each warning an error: links, anchors, nav."""
    directory = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", directory],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", **_without_network()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return directory


def _without_network() -> dict[str, str]:
    nobody = "http://127.0.0.1:9"
    return dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nobody)


def test_the_site_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    pages = [path for path in PAGES if not path.is_relative_to(RECORDS)]
    wanted = {path.relative_to("docs").with_suffix(".html") for path in pages}
    built = {path.relative_to(site) for path in site.rglob("*.html")}

    assert len(wanted) > 20
    assert built - {Path("404.html")} == wanted


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = [Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")]
    loaded = {item for page in pages for item in page.loaded}

    assert loaded
    assert sorted(item for item in loaded if "//" in item) == []
    styles = (path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not any(re.search(r"url\(['\"]?(https?:)?//", text) for text in styles)


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_a_page_links_to_pages_of_the_docs_only(path: Path) -> None:
    text = CODE.sub("", (ROOT / path).read_text(encoding="utf-8"))

    links = [link for link in LINK.findall(text) if not re.match(r"https?://|#", link)]

    for link in links:
        target = (ROOT / path.parent / link.partition("#")[0]).resolve()
        assert target.is_relative_to(DOCS), f"{path}: {link} is outside of docs/"
        assert target.is_file(), f"{path}: {link}"


def test_every_page_that_a_file_names_is_there(site: Path) -> None:
    found = {
        (str(path), name)
        for path in files()
        if path.suffix in {".py", ".sh", ".md", ".json", ".yml", ".toml", ""}
        for name in PAGE_NAME.findall((ROOT / path).read_text(encoding="utf-8"))
        if name not in OTHERS
    }

    assert len(found) > 20
    assert sorted(name for name in found if not _is_there(name[1], site)) == []


def _is_there(name: str, site: Path) -> bool:
    page, _, anchor = name.removeprefix("docs/").partition("#")
    built = site / Path(page).with_suffix(".html")
    if not built.is_file():
        return not anchor and (DOCS / page).is_file()
    return not anchor or anchor in Page(built.read_text(encoding="utf-8")).ids


def test_every_command_and_option_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")

    assert [f"{name} {word}" for name, word in _words() if f"{word}" not in page] == []


def _words() -> Iterator[tuple[str, str]]:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is not None and not command.hidden:
            yield from _words_of(name, command)


def _words_of(name: str, command: click.Command) -> Iterator[tuple[str, str]]:
    if isinstance(command, click.Group):
        for inner, item in command.commands.items():
            if not item.hidden:
                yield from _words_of(f"{name} {inner}", item)
        return
    yield name, f"`{name}" if name != "completion" else "`completion bash`"
    for option in command.params:
        if isinstance(option, click.Option):
            yield name, max(option.opts, key=len)


def test_every_message_that_a_page_explains_is_one_of_ours() -> None:
    ours = "\n".join(_texts())

    quoted = {text for cell in _explained() for text in QUOTED.findall(cell)}
    messages = {text for text in quoted if " " in text} - NOT_OURS
    missing = [
        message
        for message in sorted(messages)
        if any(part.strip(" ,:") not in ours for part in message.split("…"))
    ]

    assert len(messages) > 25
    assert missing == []


def _explained() -> Iterator[str]:
    """Yield the first cell of each row of a table about messages."""
    for path in PAGES:
        head = ""
        for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
            first = line.removeprefix("| ").split(" | ")[0] if line.startswith("|") else ""
            head = head if head and first else first
            if head in MESSAGES:
                yield first


def _texts() -> Iterator[str]:
    """Yield every text of our programs, with literals that Python joins as one."""
    for path in files("pyinfra_gvisor", "facts", "operations", "run_support", "deploys", "tools"):
        text = (ROOT / path).read_text(encoding="utf-8")
        if path.suffix != ".py":
            yield text
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            if isinstance(node, ast.JoinedStr):
                yield "".join(_filled(part) for part in node.values)


def _filled(part: ast.expr) -> str:
    """Return a part of an f-string, with the names of constants as these constants."""
    if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
        return {"CONTROL": CONTROL}.get(part.value.id, "…")
    return str(part.value) if isinstance(part, ast.Constant) else "…"
