"""The page docs/compatibility.md, with the table of the records that are kept."""

from pathlib import Path

from pyinfra_gvisor.base.errors import Problem
from tools.compatibility.kept import DOCS, kept_records
from tools.compatibility.table import table
from tools.published.doc_tables import with_table

PAGE = "compatibility.md"
MARK = "records"


def page_with(page: str, docs: Path = DOCS) -> str:
    """Return the page's text with the table of the records that are kept."""
    return with_table(page, MARK, table(kept_records(docs / "compatibility")))


def read_page(docs: Path = DOCS) -> str:
    """Return the page's text. Raises ``Problem`` if there is no such page."""
    path = docs / PAGE
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        todo = "run this in a clone of the repository"
        raise Problem(f"{path}: cannot be read: {error.strerror}", todo=todo) from None


def write_page(docs: Path = DOCS) -> str:
    """
    Write the table into the page, and return what was done.

    Raises ``Problem`` if there is no such page.
    """
    path, page = docs / PAGE, read_page(docs)
    fresh = page_with(page, docs)
    if fresh == page:
        return f"{path} is as the records say"
    path.write_text(fresh, encoding="utf-8")
    return f"written: {path}"
