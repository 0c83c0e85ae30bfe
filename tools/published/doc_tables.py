"""The tables in the reference pages of docs/, made from the definitions that the code uses."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import to_jsonable_python

from pyinfra_gvisor.apps.rules import DIFFERENCES, REFUSAL
from pyinfra_gvisor.audit.age_rules import AGE_RULES, PACKAGE_RULES
from pyinfra_gvisor.audit.annotation_rules import ANNOTATION_RULES, ANNOTATIONS, UNKNOWN, Annotation
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
from pyinfra_gvisor.runtimes.presets import PRESETS
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.reviewed import EITHER, NEVER, OFF, REVIEWED, Flag
from pyinfra_gvisor.settings import PREFIX, Settings

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = DOCS / "reference"

Key = TypeVar("Key")
Value = TypeVar("Value")

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
    "Docker, releases and proof": (*ENGINE_RULES, *GVISOR_RULES),
    "daemon.json": DAEMON_RULES,
    "Where containers run": (*DEFAULT_RULES, *INFRASTRUCTURE_RULES, *RUNTIME_RULES),
    "Hardening of dockerd": HARDENING,
    "Firewall, kernel and resolver": tuple(
        rule for rules in members("audit", "RULES").values() for rule in rules
    ),
    "Builds, engines, volumes, age": (
        *BUILD_RULES,
        *FOREIGN_RULES,
        *VOLUME_RULES,
        *AGE_RULES,
        *PACKAGE_RULES,
    ),
    "Containers": (
        *CONTAINER_RULES,
        *MOUNT_RULES,
        *DEVICE_RULES,
        *SECURITY_RULES,
        *ANNOTATION_RULES,
        *CAPABILITY_RULES,
    ),
    "Coolify": (*COOLIFY_RULES, *APP_RULES),
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
            sections += [f"### `{key}`\n\n{type_}, default `{default!r}`.\n"]
            sections += [f"{item['description']}\n"]
            sections += [keys_of(ENTRIES[key])] if key in ENTRIES else []
    return "\n".join(sections)


def keys_of(entry: type[Strict]) -> str:
    """Return a Markdown list of the keys of a setting that is a dict, or a list of dicts."""
    schema = entry.model_json_schema()
    defaults = {
        name: repr(to_jsonable_python(field.get_default(call_default_factory=True)))
        for name, field in entry.model_fields.items()
        if not field.is_required()
    }

    def cells(name: str, item: dict[str, Any]) -> tuple[str, str]:
        type_ = _type(item, schema.get("$defs", {}))
        values = _default_first(type_, defaults[name]) if name in defaults else f"{type_}, required"
        return values, item["description"]

    groups = _groups((cells(*row), row[0]) for row in schema["properties"].items())
    return "".join(
        f"* {_names(keys)} ({values}). {meaning}\n" for (values, meaning), keys in groups.items()
    )


def _default_first(type_: str, default: str) -> str:
    """Return the values of a type, the default before the others."""
    values = re.split(r", | or ", type_)
    named = f"`{default}`".replace("'", "")
    first = named if named in values else f"`{default}`"
    return ", ".join([first, *(item for item in values if item not in (first, default))])


def keys_list() -> str:
    """Return a Markdown list of all keys of daemon.json, by what a change of them needs."""

    def heading(row: tuple[str, str, bool, str, str]) -> str:
        _, needs, recreate, versions, _ = row
        return ", ".join(filter(None, (needs, "only new containers" if recreate else "", versions)))

    groups = _groups((heading(row), row[0]) for row in as_rows())
    return _list((title, _names(keys)) for title, keys in sorted(groups.items()))


def preflight_list() -> str:
    """Return a Markdown list of the requirements on a node."""
    needs = [rule.what for rule in RULES]
    needs += [f"{part.name}: {part.needs}" for part in PARTS if part.needs]
    return "".join(f"* {text}\n" for text in needs)


def protections_list() -> str:
    """Return a Markdown list of the keys that keep what a node has, with their off values."""
    return "".join(f"* `{PREFIX}{row.key} = {row.off}`\n" for row in PROTECTIONS)


def flags_sections() -> str:
    """Return Markdown with all reviewed flags of runsc, by the values that are safe."""
    either, off, never, some = _verdicts()
    valued = _groups((_safe(row), _flag(row)) for row in some)
    return "\n".join(
        (
            f"## On and off are safe\n\n{_names(_flag(row) for row in either)}\n",
            f"## Only off is safe\n\n{_list(_by_reason(off))}",
            "## Only these values are safe\n",
            _list((_names(names), safe) for safe, names in valued.items()),
            f"## No value is safe\n\n{_list(_by_reason(never))}",
        )
    )


def _verdicts() -> Iterator[list[Flag]]:
    """Yield the flags that are safe on and off, only off, with no value, and with some values."""
    rows = sorted(REVIEWED, key=lambda row: row.name.lower())
    for safe in (EITHER, OFF, NEVER):
        yield [row for row in rows if row.safe == safe]
    yield [row for row in rows if row.safe not in (EITHER, OFF, NEVER)]


def _by_reason(flags: Iterable[Flag]) -> Iterator[tuple[str, str]]:
    groups = _groups((_opens(row), _flag(row)) for row in flags)
    yield from ((_names(names), what) for what, names in groups.items())


def _flag(row: Flag) -> str:
    return f"{row.name}*" if row.name.endswith("-") else row.name


def _safe(row: Flag) -> str:
    return "below `/var/log`" if row.safe == ".*" else f"`{row.safe}`"


def _opens(row: Flag) -> str:
    harmless = f" (not with network {' or '.join(row.harmless_in)})" if row.harmless_in else ""
    return f"{row.what}{harmless}"


def proof_lists() -> str:
    """Return Markdown with a list of the proof's checks for each kind of runtime."""
    groups = _groups((_runtimes(check), (f"`{check.id}`", check.shows)) for check in CHECKS)
    return "\n".join(f"## {title}\n\n{_list(checks)}" for title, checks in groups.items())


def _runtimes(check: Check) -> str:
    """Return which runtimes a check is made for."""
    if check.networks != ALL:
        covered = {NAMED} if "sandbox" in check.networks else set()
        return f"Only with network {' or '.join(sorted(check.networks - covered))}"
    if check.hardening:
        return f"Only with hardening {check.hardening}"
    return "Only with a seal" if check.sealed else "With every runtime"


def differences_lists() -> str:
    """Return Markdown with a list of what fails under gVisor, and one of what differs."""
    groups = _groups(
        (rule.outlook, (f"`{rule.id}`", f"{rule.what}. {rule.todo}."))
        for rule in (REFUSAL, *DIFFERENCES)
    )
    titles = {"fails": "What fails", "differs": "What works otherwise"}
    return "\n".join(f"## {titles[key]}\n\n{_list(rows)}" for key, rows in groups.items())


def programs_table() -> str:
    """Return a table of real programs: what was predicted and tried of them, and what is true."""
    record = json.loads((DOCS / "compatibility/programs/record.json").read_text(encoding="utf-8"))
    head = ("predicted", "tried", "true")
    found = _groups((tuple(item[key] for key in head), item["name"]) for item in record["programs"])
    rows = ((", ".join(names), *shown) for shown, names in sorted(found.items(), reverse=True))
    return _table(("programs", *head), rows)


def presets_table() -> str:
    """Return a table in Markdown with all presets: what they help, and at what price."""
    head = ("preset", "for", "price")
    rows = ((f"`{name}`", item.helps, item.price) for name, item in PRESETS.items())
    return _table(head, rows)


def rules_sections() -> str:
    """Return Markdown with a table of audit rules for each subject."""

    def cells(rule: Rule[Any]) -> Iterator[str]:
        yield f"`{rule.id}`"
        yield f"{rule.severity}, waived" if rule.waived else rule.severity
        yield rule.what + (f" ({rule.cis})" if rule.cis else "")

    head = ("rule", "severity", "what is wrong")
    return "\n".join(
        f"## {title}\n\n{_table(head, map(cells, rules))}" for title, rules in RULE_GROUPS.items()
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    cells = [[cell.replace("|", "\\|") for cell in line] for line in (columns, *rows)]
    first, *others = (f"| {' | '.join(line)} |\n" for line in cells)
    return "".join((first, f"|{'---|' * len(columns)}\n", *others))


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"* {name}: {text}\n" for name, text in rows)


def _groups(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Return the values by their key, both in the order in which they come."""
    found: dict[Key, list[Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


_COUNTS = {
    "no": "",
    "writable": ", also paths below if writable",
    "always": ", also paths below",
}


def guarded_list() -> str:
    """Return a Markdown list of the paths that no container may mount, by finding."""
    rules = {"socket": "docker-socket", "ours": "gvisor-path", "host": "host-path"}
    groups = _groups(((item.kind, item.whole), item.path) for item in GUARDED)
    return _list(
        (f"`container-{rules[kind]}`{_COUNTS[whole]}", _names(paths))
        for (kind, whole), paths in groups.items()
    )


def annotations_list() -> str:
    """Return a Markdown list of the annotations that runsc and its shim obey, by severity."""
    groups = _groups((row.severity, _annotation(row)) for row in (*ANNOTATIONS, UNKNOWN))
    worst_first = sorted(groups, key=lambda severity: severity.rank, reverse=True)
    return _list((severity, _names(groups[severity])) for severity in worst_first)


def _annotation(row: Annotation) -> str:
    return f"{row.name}*" if row.name[-1] in ".-" else row.name


def devices_list() -> str:
    """Return a Markdown list of devices, by their severity in a sandbox and without."""
    own = [*sorted(SENTRYS - HARMLESS), "--device-cgroup-rule"]
    return _by_severity(
        {
            ("low", "low"): _names(sorted(HARMLESS)),
            ("low", "high"): _names(own),
            ("high", "high"): _names(f"{row.path}*" for row in DRIVERS),
            ("medium", "high"): "any other",
        }
    )


def security_list() -> str:
    """Return a Markdown list of security options, by their severity in a sandbox and without."""
    groups = _groups(((row.sandboxed, row.bare), row.key) for row in OPTIONS)
    return _by_severity({of: _names(keys) for of, keys in groups.items()})


def capabilities_list() -> str:
    """Return a Markdown list of capabilities, by their severity in a sandbox and without."""
    return _by_severity(
        {
            ("low", "low"): f"if not dropped, {_names(sorted(DEFAULT_CAPABILITIES))}",
            ("medium", "high"): _names(sorted(ROOT_ON_THE_NODE)),
            ("medium", "medium"): "any other",
        }
    )


def _by_severity(groups: Mapping[tuple[str, str], str]) -> str:
    return _list(
        (inside if inside == bare else f"{inside}, on the host kernel {bare}", names)
        for (inside, bare), names in groups.items()
    )


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
    if "minimum" not in item:
        return name
    least = item["minimum"]
    return f"{name} {least} to {item['maximum']}" if "maximum" in item else f"{name} from {least}"


def tables() -> list[tuple[Path, str, str]]:
    """Return all tables in the docs: the page, the table's name in that page, and its text."""
    of_reference = (
        ("settings", "settings", settings_sections()),
        ("daemon-json-keys", "keys", keys_list()),
        ("preflight", "preflight", preflight_list()),
        ("preflight", "protections", protections_list()),
        ("runsc-flags", "flags", flags_sections()),
        ("app-differences", "differences", differences_lists()),
        ("app-differences", "programs", programs_table()),
        ("audit-rules", "rules", rules_sections()),
        ("audit-rules", "guarded", guarded_list()),
        ("audit-rules", "annotations", annotations_list()),
        ("audit-rules", "devices", devices_list()),
        ("audit-rules", "security", security_list()),
        ("audit-rules", "capabilities", capabilities_list()),
        ("proof-checks", "checks", proof_lists()),
    )
    every = [(REFERENCE / f"{page}.md", name, text) for page, name, text in of_reference]
    every.append((DOCS / "runtimes.md", "presets", presets_table()))
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
