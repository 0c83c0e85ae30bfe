"""Lists of the default modules and sysctls, for docs/reference/kernel.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyinfra_gvisor.parts.kernel.defaults import MODULES, SYSCTLS
from pyinfra_gvisor.parts_common.tables import Table


def modules_list() -> str:
    """Return a Markdown list of the modules, by the reason to block them."""
    vulnerable, listed = [], []
    for name, item in MODULES.items():
        cve, _, _ = item.source.partition(",")
        if cve.startswith("CVE-"):
            vulnerable.append(f"`{name}` ({cve})")
        else:
            listed.append((item.source, f"`{name}`"))
    return _list({"vulnerabilities": vulnerable, **_grouped(listed)})


def sysctls_list() -> str:
    """Return a Markdown list of the sysctls, by what they do."""
    pairs = []
    for key, item in SYSCTLS.items():
        stricter = "".join(f" (or `{other}`)" for other in item.stricter)
        pairs.append((item.what, f"`{key}={item.value}`{stricter}"))
    return _list(_grouped(pairs))


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, text in pairs:
        groups.setdefault(key, []).append(text)
    return groups


def _list(groups: Mapping[str, list[str]]) -> str:
    return "".join(f"* {', '.join(found)}: {name}\n" for name, found in groups.items())


TABLES = (
    Table("reference/kernel.md", "modules", modules_list),
    Table("reference/kernel.md", "sysctls", sysctls_list),
)
