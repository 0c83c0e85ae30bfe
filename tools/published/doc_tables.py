"""The tables in the reference pages of docs/, made from the definitions that the code uses."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from pyinfra_gvisor.audit.age_rules import AGE_RULES, PACKAGE_RULES
from pyinfra_gvisor.audit.annotation_rules import ANNOTATION_RULES, ANNOTATIONS, UNKNOWN
from pyinfra_gvisor.audit.app_rules import APP_RULES, COOLIFY_RULES
from pyinfra_gvisor.audit.build_rules import BUILD_RULES
from pyinfra_gvisor.audit.capability_rules import (
    CAPABILITY_RULES,
    DEFAULT_CAPABILITIES,
    ROOT_ON_THE_NODE,
)
from pyinfra_gvisor.audit.container_rules import CONTAINER_RULES
from pyinfra_gvisor.audit.daemon_rules import DAEMON_RULES
from pyinfra_gvisor.audit.default_rules import DEFAULT_RULES, INFRASTRUCTURE_RULES
from pyinfra_gvisor.audit.device_rules import DEVICE_RULES, DRIVERS, HARMLESS, SENTRYS
from pyinfra_gvisor.audit.foreign_rules import FOREIGN_RULES
from pyinfra_gvisor.audit.hardening import HARDENING
from pyinfra_gvisor.audit.mount_rules import MOUNT_RULES
from pyinfra_gvisor.audit.node_rules import ENGINE_RULES, GVISOR_RULES
from pyinfra_gvisor.audit.rules import Rule
from pyinfra_gvisor.audit.runtime_rules import RUNTIME_RULES
from pyinfra_gvisor.audit.security_rules import OPTIONS, SECURITY_RULES
from pyinfra_gvisor.audit.volume_rules import VOLUME_RULES
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.coolify.settings import CoolifySettings
from pyinfra_gvisor.daemon_json.keys import as_rows
from pyinfra_gvisor.dispatch.policy import Infrastructure
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.dispatch.settings import DispatchSettings
from pyinfra_gvisor.parts.every import PARTS
from pyinfra_gvisor.parts_common.members import members
from pyinfra_gvisor.planning.absence import PROTECTIONS
from pyinfra_gvisor.planning.preflight import RULES
from pyinfra_gvisor.policy.guarded import GUARDED
from pyinfra_gvisor.policy.settings import AuditSettings
from pyinfra_gvisor.proof.check import ALL, NAMED, Check
from pyinfra_gvisor.proof.checks import CHECKS
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.reviewed import EITHER, NEVER, OFF, REVIEWED, Flag
from pyinfra_gvisor.settings import PREFIX, Settings

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = DOCS / "reference"

SETTING_GROUPS = {
    "Releases": (
        *("release", "source", "sha512", "download_timeout_s", "keep_releases", "accept_risk"),
    ),
    "Runtimes and proof": ("runtimes", "proof", "proof_image", "proof_rows"),
    "Containers that ask for no runtime": tuple(DispatchSettings.model_fields),
    "Docker and daemon.json": (
        *("docker", "daemon_json", "daemon_json_if_absent", "restart", "apply_timeout_s"),
        *("restart_units", "restart_wait_s", "host_timeout_s"),
    ),
    "Roll back and remove": ("generation", "keep_running"),
    "Around the sandbox": tuple(
        name for model in members("settings", "SETTINGS").values() for name in model.model_fields
    ),
    "Audit, reports and watch": tuple(AuditSettings.model_fields),
    "Coolify": tuple(CoolifySettings.model_fields),
}
"""The sections of the page on settings, and the settings in each."""

ENTRIES: dict[str, type[Strict]] = {
    f"{PREFIX}runtimes": Runtime,
    f"{PREFIX}infrastructure": Infrastructure,
    f"{PREFIX}seal": Seal,
}
"""The settings with keys of their own, and what defines these keys."""

RULE_GROUPS: dict[str, tuple[Rule[Any], ...]] = {
    "Docker and the kernel": ENGINE_RULES,
    "Releases, runtimes and proof": GVISOR_RULES,
    "daemon.json": DAEMON_RULES,
    "Containers that ask for no runtime": (*DEFAULT_RULES, *INFRASTRUCTURE_RULES),
    "Runtimes that containers need": RUNTIME_RULES,
    "Hardening of dockerd": HARDENING,
    "Firewall, kernel and resolver": tuple(
        rule for rules in members("audit", "RULES").values() for rule in rules
    ),
    "Image builds": BUILD_RULES,
    "Other container engines": FOREIGN_RULES,
    "Volumes": VOLUME_RULES,
    "Age and known vulnerabilities": AGE_RULES,
    "pyinfra-gvisor itself, once a run": PACKAGE_RULES,
    "Coolify's control host": COOLIFY_RULES,
    "Isolation of a container": CONTAINER_RULES,
    "Mounts of a container": MOUNT_RULES,
    "Devices of a container": DEVICE_RULES,
    "Security options of a container": SECURITY_RULES,
    "Annotations of a container": ANNOTATION_RULES,
    "Capabilities of a container": CAPABILITY_RULES,
    "Apps of Coolify": APP_RULES,
}
"""The sections of the page on audit rules, and the rules in each."""

TYPES = {
    "object": "dict",
    "array": "list",
    "integer": "int",
    "string": "str",
    "null": "None",
    "boolean": "bool",
}


def settings_sections() -> str:
    """Return Markdown with a section for each setting: type, default, meaning."""
    schema = Settings.model_json_schema(by_alias=True)
    defaults = Settings().model_dump(mode="json", by_alias=True, exclude_none=True)
    sections: list[str] = []
    for title, names in SETTING_GROUPS.items():
        sections += [f"## {title}\n"]
        for key in (PREFIX + name for name in names):
            item = schema["properties"][key]
            type_, default = _type(item, schema["$defs"]), defaults.get(key)
            sections += [f"### `{key}`\n\nType: {type_}. Default: `{default!r}`.\n"]
            sections += [f"{item['description']}\n"]
            sections += [keys_of(ENTRIES[key])] if key in ENTRIES else []
    return "\n".join(sections)


def keys_of(entry: type[Strict]) -> str:
    """Return a Markdown table of the keys of a setting that is a dict, or a list of dicts."""
    schema = entry.model_json_schema()
    defaults = {
        name: to_jsonable_python(field.get_default(call_default_factory=True))
        for name, field in entry.model_fields.items()
        if not field.is_required()
    }

    def cells(name: str, item: dict[str, Any]) -> Iterator[str]:
        yield f"`{name}`"
        yield _type(item, schema.get("$defs", {}))
        yield f"`{defaults[name]!r}`" if name in defaults else "required"
        yield item["description"]

    rows = (cells(*row) for row in schema["properties"].items())
    return _table(("key", "type", "default", "meaning"), rows)


def keys_table() -> str:
    """Return a Markdown table of all keys of daemon.json, and what a change of each needs."""
    rows = [
        "| key | needs | only new containers | dockerd | where moby has it |",
        "|---|---|---|---|---|",
    ]
    for key, needs, recreate, versions, source in as_rows():
        rows.append(f"| `{key}` | {needs} | {'yes' if recreate else ''} | {versions} | {source} |")
    return "\n".join(rows) + "\n"


def preflight_table() -> str:
    """Return a Markdown table of the requirements on a node, each with its source."""
    rows = ["| rule | requirement | source |", "|---|---|---|"]
    rows += [f"| {rule.id} | {rule.what} | {rule.source} |" for rule in RULES]
    rows += [f"| {part.name} | {part.needs} | {part.source} |" for part in PARTS if part.needs]
    return "\n".join(rows) + "\n"


def protections_table() -> str:
    """Return a Markdown table of what a node keeps until its key has the off value."""
    rows = ((f"`{PREFIX}{row.key}`", row.what, f"`{row.off}`") for row in PROTECTIONS)
    return _table(("key", "what the node keeps", "value that removes it"), map(iter, rows))


def flags_table() -> str:
    """Return a Markdown table of runsc's flags, their safe values and the risk of others."""
    words = {EITHER: "on, off", OFF: "off", NEVER: "none", ".*": "any"}

    def cells(row: Flag) -> Iterator[str]:
        harmless = f" (not with network {' or '.join(row.harmless_in)})" if row.harmless_in else ""
        yield f"`{row.name}{'*' if row.name.endswith('-') else ''}`"
        yield words.get(row.safe) or f"`{row.safe}`"
        yield row.why
        yield f"{row.what}{harmless}"
        yield row.source.removeprefix("google/gvisor, ")

    return _table(
        ("flag", "safe values", "why they are safe", "what another value opens", "source"),
        (cells(row) for row in sorted(REVIEWED, key=lambda row: row.name.lower())),
    )


def proof_table() -> str:
    """Return a Markdown table of the proof's checks: what each shows and how it is made."""

    def cells(check: Check) -> Iterator[str]:
        yield f"`{check.id}`"
        yield check.severity
        yield check.shows + (f". Not applicable: {check.unless}" if check.unless else "")
        yield check.how
        yield ", ".join(filter(None, _runtimes(check)))
        yield check.remedy + (f" (docker-bench {check.cis})" if check.cis else "")

    return _table(
        ("check", "severity", "what it shows", "how it is made", "runtimes", "if it fails"),
        (cells(check) for check in CHECKS),
    )


def _runtimes(check: Check) -> Iterator[str]:
    covered = {NAMED} if "sandbox" in check.networks else set()
    yield "all" if check.networks == ALL else ", ".join(sorted(check.networks - covered))
    yield f"`hardening` {check.hardening}" if check.hardening else ""
    yield "with a seal" if check.sealed else ""


def rules_sections() -> str:
    """Return Markdown with a table of audit rules for each subject."""

    def cells(rule: Rule[Any]) -> Iterator[str]:
        yield f"`{rule.id}`"
        yield str(rule.severity)
        yield rule.what
        end = f"waived: {rule.waived}" if rule.waived else rule.remedy
        yield end + (f" (docker-bench {rule.cis})" if rule.cis else "")

    head = ("rule", "severity", "what is wrong", "what to do")
    return "\n".join(
        f"### {title}\n\n{_table(head, map(cells, rules))}" for title, rules in RULE_GROUPS.items()
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


_COUNTS = {
    "no": "this path and paths above",
    "writable": "this path and paths above; paths below if writable",
    "always": "this path, paths above and below",
}


def guarded_table() -> str:
    """Return a Markdown table of the paths that no container may mount."""
    rules = {"socket": "docker-socket", "ours": "gvisor-path", "host": "host-path"}
    return _table(
        ("path", "applies to", "finding", "source"),
        (
            (f"`{item.path}`", _COUNTS[item.whole], f"`container-{rules[item.kind]}`", item.source)
            for item in GUARDED
        ),
    )


def annotations_table() -> str:
    """Return a Markdown table of the annotations that runsc and its shim obey."""
    return _table(
        ("annotation", "severity", "what it does", "source"),
        ((f"`{row.name}`", row.severity, row.what, row.source) for row in (*ANNOTATIONS, UNKNOWN)),
    )


def devices_table() -> str:
    """Return a Markdown table of devices, with the severity in a sandbox and without."""
    rows = [
        (_names(HARMLESS), "low", "low", "open to everybody"),
        (_names(SENTRYS - HARMLESS), "low", "high", "gVisor has its own: pkg/sentry/devices"),
        *((f"`{row.path}…`", "high", "high", f"{row.what}: {row.source}") for row in DRIVERS),
        ("any other", "medium", "high", "cannot be opened in a sandbox: runsc/boot/vfs.go"),
        ("`--device-cgroup-rule`", "low", "high", "ignored in a sandbox: runsc/cgroup/cgroup.go"),
    ]
    return _table(("device", "in a sandbox", "on the host kernel", "why"), rows)


def security_table() -> str:
    """Return a Markdown table of security options, with the severity in a sandbox and without."""
    return _table(
        ("option", "finding", "in a sandbox", "on the host kernel", "why"),
        ((f"`{row.key}`", f"`{row.id}`", row.sandboxed, row.bare, row.source) for row in OPTIONS),
    )


def capabilities_table() -> str:
    """Return a Markdown table of capabilities, with the severity in a sandbox and without."""
    rows = [
        (_names(DEFAULT_CAPABILITIES), "low, kept", "low, kept", "Docker's default"),
        (_names(ROOT_ON_THE_NODE), "medium", "high", "root on the node under runc"),
        ("any other", "medium", "medium", "more than Docker's default"),
    ]
    return _table(("capabilities", "in a sandbox", "on the host kernel", "why"), rows)


def with_table(page: str, name: str, table: str) -> str:
    """Return ``page`` with ``table`` between the two marks called ``name``."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    return head + begin + table + end + tail


def _type(item: dict[str, Any], defined: dict[str, Any]) -> str:
    if "$ref" in item:
        return _type(defined[item["$ref"].rsplit("/", 1)[1]], defined)
    if "const" in item:
        return f"`{item['const']}`"
    if "enum" in item:
        return ", ".join(f"`{value or repr(value)}`" for value in item["enum"])
    if "anyOf" in item:
        return " or ".join(_type(option, defined) for option in item["anyOf"])
    name = TYPES[item["type"]]
    limits = [str(item[key]) for key in ("minimum", "maximum") if key in item]
    return f"{name} {' to '.join(limits)}" if limits else name


def tables() -> list[tuple[Path, str, str]]:
    """Return all tables in the docs: the page, the table's name in that page, and its text."""
    of_reference = (
        ("settings", "settings", settings_sections()),
        ("daemon-json-keys", "keys", keys_table()),
        ("preflight", "preflight", preflight_table()),
        ("preflight", "protections", protections_table()),
        ("runsc-flags", "flags", flags_table()),
        ("audit-rules", "rules", rules_sections()),
        ("audit-rules", "guarded", guarded_table()),
        ("audit-rules", "annotations", annotations_table()),
        ("audit-rules", "devices", devices_table()),
        ("audit-rules", "security", security_table()),
        ("audit-rules", "capabilities", capabilities_table()),
        ("proof-checks", "checks", proof_table()),
    )
    every = [(REFERENCE / f"{page}.md", name, text) for page, name, text in of_reference]
    for of_part in members("tables", "TABLES").values():
        every += [(DOCS / table.page, table.name, table.text()) for table in of_part]
    return [
        (page, name, _linked(text) if page.parent == REFERENCE else text)
        for page, name, text in every
    ]


def _linked(text: str) -> str:
    """Return ``text`` with each page of the docs that it names as a link from docs/reference/."""
    there = "|".join(re.escape(path.name) for path in DOCS.glob("*.md"))
    return re.sub(rf"\bdocs/({there})", r"[\g<0>](../\1)", text)
