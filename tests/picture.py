"""
A picture of a terminal, from captured text with the terminal's colours.

.. code:: shell

    python -m tests.picture docs/images/run.ansi docs/images/run.svg
"""

import io
import re
import sys
from html import escape
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parent.parent
CAPTURED = ROOT / "docs" / "images" / "run.ansi"
PICTURE = CAPTURED.with_suffix(".svg")
TITLE = "pyinfra-gvisor apply"

_COLUMNS_MIN, _COLUMNS_MAX = 60, 120
# Of 4.5:1 and better on the background: WCAG 2.2, success criterion 1.4.3.
_THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [
        *((72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34)),
        *((88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196)),
    ],
    [
        *((139, 148, 158), (255, 161, 152), (86, 211, 100), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (86, 212, 221), (240, 246, 252)),
    ],
)
# As rich has it, without its fonts: a picture must not make a reader's browser ask another host.
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def picture(captured: str, title: str = TITLE) -> str:
    """
    Return the SVG of captured text, which asks no other host for anything.

    + captured: lines with ANSI colours, as a terminal gets them
    """
    text = Text.from_ansi(captured.rstrip())
    longest = max(cell_len(line) for line in text.plain.split("\n"))
    width = min(max(longest, _COLUMNS_MIN), _COLUMNS_MAX)
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(text, no_wrap=True, overflow="ellipsis", crop=True)
    code_format = _FORMAT.replace("TITLE", escape(title))
    svg = console.export_svg(title=title, theme=_THEME, code_format=code_format, unique_id="run")
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines() if line.strip())


def plain(captured: str) -> str:
    """Return the same text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", captured)


def main(arguments: list[str]) -> int:
    """Write the picture; 0 if that went well, 1 if the words are wrong."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m tests.picture CAPTURED PICTURE\n")
        return 1
    captured, into = map(Path, arguments)
    into.write_text(picture(captured.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
