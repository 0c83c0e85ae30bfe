"""
The JSON schema and the tables of settings and of dockerd's keys, made from what the code uses.

``python -m pyinfra_gvisor.schema`` writes them; a test keeps them fresh.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from pyinfra_gvisor.audit.annotation_rules import ANNOTATIONS, UNKNOWN
from pyinfra_gvisor.audit.capability_rules import DEFAULT_CAPABILITIES, ROOT_ON_THE_NODE
from pyinfra_gvisor.audit.device_rules import DRIVERS, HARMLESS, SENTRYS
from pyinfra_gvisor.audit.guarded import GUARDED
from pyinfra_gvisor.audit.judge import NODE_RULES, RUNNING_RULES
from pyinfra_gvisor.audit.rules import Rule
from pyinfra_gvisor.audit.security_rules import OPTIONS
from pyinfra_gvisor.coolify.settings import CoolifySettings
from pyinfra_gvisor.daemon_json.keys import as_rows
from pyinfra_gvisor.parts import members
from pyinfra_gvisor.parts.every import PARTS
from pyinfra_gvisor.policy.settings import AuditSettings
from pyinfra_gvisor.preflight import RULES
from pyinfra_gvisor.proof.check import ALL, NAMED
from pyinfra_gvisor.proof.checks import CHECKS
from pyinfra_gvisor.report.document import FleetReport, HostReport
from pyinfra_gvisor.runtimes.reviewed import EITHER, NEVER, OFF, REVIEWED
from pyinfra_gvisor.settings import PREFIX, Settings

SCHEMA_FILE = Path(__file__).parent / "settings.schema.json"
REPORT_FILE = Path(__file__).parent / "report.schema.json"
README_FILE = Path(__file__).parent.parent / "README.md"
DOCS = README_FILE.parent / "docs"
RELEASES_FILE = DOCS / "releases.md"
KEYS_FILE = DOCS / "daemon-json.md"
AUDIT_FILE = DOCS / "audit.md"
PROOF_FILE = DOCS / "proof.md"

TYPES = {
    "object": "dict",
    "array": "list",
    "integer": "int",
    "string": "str",
    "null": "None",
    "boolean": "bool",
}


def schema_text() -> str:
    """The JSON schema of all ``gvisor_*`` keys."""
    schema = Settings.model_json_schema(by_alias=True)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def report_schema_text() -> str:
    """The JSON schema of a report, be it a host's or the fleet's."""
    kinds, schema = models_json_schema(
        [(HostReport, "serialization"), (FleetReport, "serialization")],
        title="A report of pyinfra-gvisor: one host, or all hosts of a run",
    )
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": schema["title"],
        "oneOf": list(kinds.values()),
        "$defs": schema["$defs"],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def settings_table() -> str:
    """A Markdown table of every key with its type, default and meaning."""
    schema = Settings.model_json_schema(by_alias=True)
    later = (*members("settings", "SETTINGS").values(), AuditSettings, CoolifySettings)
    rank = {PREFIX + name: at for at, model in enumerate(later, 1) for name in model.model_fields}
    properties: dict[str, Any] = dict(
        sorted(schema["properties"].items(), key=lambda item: rank.get(item[0], 0))
    )
    defaults = Settings().model_dump(mode="json", by_alias=True, exclude_none=True)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, item in properties.items():
        cells = (
            f"`{key}`",
            _type(item, schema["$defs"]),
            f"`{defaults.get(key)!r}`",
            item["description"],
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def keys_table() -> str:
    """A Markdown table of every key of daemon.json with what a change of it needs."""
    rows = [
        "| key | needs | only new containers | dockerd | where moby has it |",
        "|---|---|---|---|---|",
    ]
    for key, needs, recreate, versions, source in as_rows():
        rows.append(f"| `{key}` | {needs} | {'yes' if recreate else ''} | {versions} | {source} |")
    return "\n".join(rows) + "\n"


def preflight_table() -> str:
    """A Markdown table of what a node must be, and where that is known from."""
    rows = ["| rule | what has to be so | where that is from |", "|---|---|---|"]
    rows += [f"| {rule.id} | {rule.what} | {rule.source} |" for rule in RULES]
    rows += [f"| {part.name} | {part.needs} | {part.source} |" for part in PARTS if part.needs]
    return "\n".join(rows) + "\n"


def flags_table() -> str:
    """A Markdown table of runsc's flags: the values that need no reason, and why the others do."""
    rows = [
        "| flag | needs no reason with | why | with another value | source |",
        "|---|---|---|---|---|",
    ]
    words = {EITHER: "on, off", OFF: "off", NEVER: "", ".*": "any"}
    for row in sorted(REVIEWED, key=lambda row: row.name.lower()):
        safe = words.get(row.safe) or (f"`{row.safe}`" if row.safe not in words else "")
        name = f"{row.name}*" if row.name.endswith("-") else row.name
        harmless = f" (not with network {' or '.join(row.harmless_in)})" if row.harmless_in else ""
        cells = (f"`{name}`", safe, row.why, f"{row.what}{harmless}", row.source)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def proof_table() -> str:
    """A Markdown table of the proof's checks: what is seen, where, and what to do if it is not."""
    rows = [
        "| check | severity | what it shows | how it is seen | asked of | docker-bench | if not |",
        "|---|---|---|---|---|---|---|",
    ]
    for check in CHECKS:
        covered = {NAMED} if "sandbox" in check.networks else set()
        networks = "all" if check.networks == ALL else ", ".join(sorted(check.networks - covered))
        asked = networks + (f", `hardening` {check.hardening}" if check.hardening else "")
        shows = check.shows + (f". Not applicable: {check.unless}" if check.unless else "")
        cells = (check.severity, shows, check.how, asked, check.cis or "", check.remedy)
        rows.append(f"| `{check.id}` | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def rules_table() -> str:
    """A Markdown table of what the audit looks for."""
    rows = [
        "| rule | severity | docker-bench | what is wrong | what to do, or why it is waived |",
        "|---|---|---|---|---|",
    ]
    rules: tuple[Rule[Any], ...] = (*NODE_RULES, *RUNNING_RULES)
    for rule in rules:
        end = f"waived: {rule.waived}" if rule.waived else rule.remedy
        cells = (f"`{rule.id}`", str(rule.severity), rule.cis or "", rule.what, end)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


_COUNTS = {
    "no": "it and above",
    "writable": "it and above; below if writable",
    "always": "it, above and below",
}


def guarded_table() -> str:
    """A Markdown table of the paths that no container is to be given."""
    rules = {"socket": "docker-socket", "ours": "gvisor-path", "host": "host-path"}
    return _table(
        ("path", "counts for", "finding", "source"),
        (
            (
                f"`{item.path}`",
                _COUNTS[item.whole],
                f"`container-{rules[item.kind]}`",
                item.source,
            )
            for item in GUARDED
        ),
    )


def annotations_table() -> str:
    """A Markdown table of the annotations that runsc and its shim obey."""
    return _table(
        ("annotation", "severity", "what it does", "source"),
        ((f"`{row.name}`", row.severity, row.what, row.source) for row in (*ANNOTATIONS, UNKNOWN)),
    )


def devices_table() -> str:
    """A Markdown table of devices: how bad in a sandbox and out of one."""

    def names(paths: Iterable[str]) -> str:
        return ", ".join(f"`{path}`" for path in sorted(paths))

    rows = [
        (names(HARMLESS), "low", "low", "open to everybody"),
        (names(SENTRYS - HARMLESS), "low", "high", "gVisor has its own: pkg/sentry/devices"),
        *((f"`{row.path}…`", "high", "high", f"{row.what}: {row.source}") for row in DRIVERS),
        ("any other", "medium", "high", "cannot be opened in a sandbox: runsc/boot/vfs.go"),
        ("`--device-cgroup-rule`", "low", "high", "not kept in a sandbox: runsc/cgroup/cgroup.go"),
    ]
    return _table(("device", "in a sandbox", "out of one", "why"), rows)


def security_table() -> str:
    """A Markdown table of security options: how bad in a sandbox and out of one."""
    return _table(
        ("option", "finding", "in a sandbox", "out of one", "why"),
        ((f"`{row.key}`", f"`{row.id}`", row.sandboxed, row.bare, row.source) for row in OPTIONS),
    )


def capabilities_table() -> str:
    """A Markdown table of capabilities: how bad in a sandbox and out of one."""

    def names(those: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in sorted(those))

    rows = [
        (names(DEFAULT_CAPABILITIES), "low, kept", "low, kept", "Docker's own"),
        (names(ROOT_ON_THE_NODE), "medium", "high", "root on the node under runc"),
        ("any other", "medium", "medium", "more than Docker's own"),
    ]
    return _table(("capabilities", "in a sandbox", "out of one", "why"), rows)


def with_table(page: str, name: str, table: str) -> str:
    """``page`` with the table between the two marks called ``name``."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    return head + begin + table + end + tail


def _type(item: dict[str, Any], defined: dict[str, Any]) -> str:
    if "$ref" in item:
        return _type(defined[item["$ref"].rsplit("/", 1)[1]], defined)
    if "enum" in item:
        return ", ".join(f"`{value}`" for value in item["enum"])
    if "anyOf" in item:
        return " or ".join(_type(option, defined) for option in item["anyOf"])
    name = TYPES[item["type"]]
    limits = [str(item[key]) for key in ("minimum", "maximum") if key in item]
    return f"{name} {' to '.join(limits)}" if limits else name


def tables() -> list[tuple[Path, str, str]]:
    """The tables in pages for people: the page, the table's name there, and its text."""
    return [
        (README_FILE, "settings", settings_table()),
        (KEYS_FILE, "keys", keys_table()),
        (RELEASES_FILE, "preflight", preflight_table()),
        (RELEASES_FILE, "flags", flags_table()),
        (AUDIT_FILE, "rules", rules_table()),
        (AUDIT_FILE, "guarded", guarded_table()),
        (AUDIT_FILE, "annotations", annotations_table()),
        (AUDIT_FILE, "devices", devices_table()),
        (AUDIT_FILE, "security", security_table()),
        (AUDIT_FILE, "capabilities", capabilities_table()),
        (PROOF_FILE, "checks", proof_table()),
        *(
            (DOCS / table.page, table.name, table.text())
            for of_part in members("tables", "TABLES").values()
            for table in of_part
        ),
    ]


def main() -> int:
    """Write the files; 0 if they were fresh, 1 if one had to be changed."""
    wanted = {SCHEMA_FILE: schema_text(), REPORT_FILE: report_schema_text()}
    for path, name, table in tables():
        page = wanted.get(path) or path.read_text(encoding="utf-8")
        wanted[path] = with_table(page, name, table)
    stale = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
