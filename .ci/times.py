"""Print how long the tests took, by folder and by file, from pytest's files in JUnit's format."""

import sys
from collections import defaultdict
from pathlib import PurePath
from xml.etree import ElementTree

LONGEST = 30


def main(files: list[str]) -> None:
    """Print a table of folders, then one of the files that took longest; all in seconds."""
    folders: dict[str, list[float]] = defaultdict(list)
    modules: dict[str, list[float]] = defaultdict(list)
    for file in files:
        for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314 - it is our own file
            module = PurePath(*case.get("classname", "").split("."))
            folders[str(module.parent)].append(float(case.attrib["time"]))
            modules[str(module)].append(float(case.attrib["time"]))
    print_table("folder", folders, len(folders))
    print_table("file", modules, LONGEST)


def print_table(title: str, times_s: dict[str, list[float]], most: int) -> None:
    """Print the rows that took longest, with the sum of all workers' seconds and the tests."""
    print(f"\n{'seconds':>8} {'tests':>6}  {title}")
    for name, times in sorted(times_s.items(), key=lambda item: -sum(item[1]))[:most]:
        print(f"{sum(times):8.0f} {len(times):6}  {name}")


main(sys.argv[1:])
