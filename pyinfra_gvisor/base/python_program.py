"""Put modules of this package together to one program of Python, for nodes without it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

_PROGRAM = """\
#!/usr/bin/python3 -I
{about}
import sys

MODULES = {{
{parents}{modules}}}


class Modules:
    \"\"\"Loads them when they are imported.\"\"\"

    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            return type(sys.__spec__)(name, self, is_package=name in "{package}")

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(MODULES[module.__name__], module.__name__, "exec"), module.__dict__)


sys.meta_path.insert(0, Modules())
from {package}.main import main

sys.exit({start})
"""


def python_program(package: str, texts: Mapping[str, str], about: str, start: str) -> str:
    """
    Return one file of Python, for ``/usr/bin/python3 -I``.

    + package: the dotted name of the package; its module ``main`` has the function ``main``
    + texts: its modules, by name
    + about: comment lines
    + start: the expression whose value is the exit code, such as ``main()``
    """
    words = package.split(".")
    parents = (".".join(words[: end + 1]) for end in range(len(words)))
    items = texts.items()
    return _PROGRAM.format(
        about=about,
        parents="".join(f'    "{name}": "",\n' for name in parents),
        modules="".join(f"    {f'{package}.{name}'!r}: r'''{text}''',\n" for name, text in items),
        package=package,
        start=start,
    )


def modules_of(package: str) -> list[str]:
    """Return the names of a package's modules, in order."""
    found = (item.name for item in files(package).iterdir())
    return sorted(name[:-3] for name in found if name.endswith(".py") and name != "__init__.py")
