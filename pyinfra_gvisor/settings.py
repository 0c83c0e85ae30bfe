"""
All ``gvisor_*`` keys of group data: type, default and meaning of each.

The JSON schema in this directory and the settings table in the docs are generated from this module
(``python -m tools docs``).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.forms import form
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.base.spelling import near
from pyinfra_gvisor.coolify.settings import CoolifySettings
from pyinfra_gvisor.daemon_json.shared_lists import AUTHORIZATION
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.preview import Preview, preview
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.dispatch.settings import DispatchSettings
from pyinfra_gvisor.judge.rules import PLUGIN
from pyinfra_gvisor.parts_common.members import members
from pyinfra_gvisor.policy.settings import AuditSettings
from pyinfra_gvisor.releases import Release, parse_release
from pyinfra_gvisor.releases.lock import DEFAULT, LOCK
from pyinfra_gvisor.releases.sources import Archive, check_source
from pyinfra_gvisor.releases.sums import Sums
from pyinfra_gvisor.runtimes.profiles import (
    DEFAULT_RUNTIME,
    RUNC_BY_NAME,
    Runtime,
    check_runtime_name,
)

PREFIX = "gvisor_"
HOST_TIMEOUT_S = 1800  # longest known step: 6 minutes, a whole proof on an emulated machine
MARGIN_S = 600  # for what a change of daemon.json does beside its two waits
CLEAR = 0.8  # difflib's ratio: from there on the nearest key alone is named

# The hardened default: docker-bench 2.14, 2.15 and 2.16.
HARDENED: dict[str, Any] = {
    "no-new-privileges": True,
    "live-restore": True,
    "userland-proxy": False,
}
# For these a value that the node already has is as good as ours, so it stays.
HARDENED_IF_ABSENT: dict[str, Any] = {
    "metrics-addr": "127.0.0.1:9323",
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "3"},
}

Seconds = Annotated[int, Field(ge=1, le=3600, strict=True)]
Unit = Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.@\\-]+\.service$")]  # systemd.unit(5)

T = TypeVar("T")

if TYPE_CHECKING:

    class PartSettings(Strict):
        """The keys of all parts. ``Settings.part`` returns them with their types."""

else:
    PartSettings = type("PartSettings", tuple(members("settings", "SETTINGS").values()), {})


class Contradiction(Problem):
    """A problem of several settings together, which is told as one of ``key``."""

    def __init__(self, key: str, what: str, *, got: object = None, todo: str = "") -> None:
        super().__init__(what, got=got, todo=todo)
        self.key = PREFIX + key


class Settings(AuditSettings, CoolifySettings, DispatchSettings, PartSettings):
    """The settings of a host, as an operator writes them in ``inventories/group_data/*.py``."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: PREFIX + name,
        validate_by_alias=True,
        validate_by_name=False,
    )

    release: str = Field(
        DEFAULT,
        description="The runsc release: date and number, such as `20260928.0`.",
    )
    source: str = Field(
        "official",
        description="`official`: gVisor's bucket. `github`, `apt`, `apt+https://…` (a mirror), "
        "`debian` (an old release without a pin, for the lab), a URL, or an absolute path on the "
        "controller: docs/releases.md. URL and path may contain `{release}`, `{arch}` and "
        "`{file}`.",
    )
    sha512: dict[Literal["x86_64", "aarch64"], Sums] = Field(
        default_factory=dict,
        description="Checksums by architecture: the archive's sha512, or a dict of sha512 by file "
        "name. Files: `runsc` and `containerd-shim-runsc-v1` up to 20260817.0, `runsc.deb` with "
        "`apt`. `{}`: those of this package, which must know the release.",
    )
    download_timeout_s: Seconds = Field(
        60, description="Seconds without progress after which a download fails."
    )
    runtimes: dict[str, Runtime] = Field(
        default_factory=lambda: {"runsc": Runtime()},
        validate_default=True,
        description="Docker's gVisor runtimes on this node: a dict of options by name, all "
        "optional. `{}`: no gVisor, only daemon.json is managed.",
    )
    daemon_json: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of daemon.json to set. They replace or extend the defaults: "
        "`no-new-privileges` and `live-restore` on, `userland-proxy` off. A key with the value "
        "`None` is not managed.",
    )
    daemon_json_if_absent: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of daemon.json to set only if the file lacks them. They replace or "
        "extend the defaults: `metrics-addr`, `log-driver`, `log-opts`. A key with the value "
        "`None` is not managed.",
    )
    docker: Literal["present", "debian", "docker-ce"] = Field(
        "present",
        description="On a node without Docker: `present` fails the host, `debian` installs "
        "`docker.io`, `docker-ce` installs from Docker's apt repository.",
    )
    proof: Literal["changed", "always", "never"] = Field(
        "changed",
        description="When to prove isolation: `changed` (if the node changed since the last "
        "proof), `always`, `never`.",
    )
    proof_image: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$",
        description="An image on the node for the proof's containers. `None`: the proof makes an "
        "empty one.",
    )
    proof_rows: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="Show every check of a proof, also those that passed. For one run: `--data "
        "gvisor_proof_rows=True`.",
    )
    accept_risk: str | None = Field(
        None,
        min_length=10,
        description="Why you accept a release with a known escape, in 10 characters or more; every "
        "output repeats it. `None`: refuse it.",
    )
    restart: Literal["auto", "reload", "never"] = Field(
        "auto",
        description="For keys that dockerd reads only at its start. `auto`: restart dockerd with "
        "live-restore, with Docker 28.0 to 29.2 also instead of some reloads. `reload`: write "
        "them; they take effect at dockerd's next restart. `never`: refuse the change.",
    )
    restart_units: tuple[Unit, ...] = Field(
        (),
        description="Units of systemd that a restart of dockerd may end, such as `docker run` in "
        "the foreground. Other such units refuse a restart.",
    )
    apply_timeout_s: Seconds = Field(
        60,
        description="Seconds that dockerd may take to run as declared after a change. After that "
        "the previous daemon.json is restored.",
    )
    restart_wait_s: Annotated[int, Field(ge=0, le=86400, strict=True)] = Field(
        300,
        description="Seconds to wait for running `--rm` containers, which a restart of dockerd "
        "ends. After that the host fails, and nothing is changed.",
    )

    host_timeout_s: Annotated[int, Field(ge=1, le=172800, strict=True)] | None = Field(
        None,
        description="Seconds that one command may take on a host (a download: a day), or an upload "
        "without progress. After that the host fails with `no answer`, and the others go on. The "
        "node itself finishes or undoes a change. Must be more than `gvisor_restart_wait_s` plus "
        "twice `gvisor_apply_timeout_s`. `None`: 600 more than that, at least 1800.",
    )
    keep_releases: Annotated[int, Field(ge=1, le=100, strict=True)] = Field(
        2,
        description="Releases that stay on a node, with the current one. Older ones are removed, "
        "unless a container, process or generation needs them.",
    )
    generation: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None,
        description="The number of the generation to roll back to. `None`: the newest.",
    )
    keep_running: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="What to do about an undeclared runtime that a container needs. `False`: "
        "refuse the run. `True`: keep runtime, wrapper and release until no container needs them; "
        "`remove` leaves running sandboxes alone.",
    )

    @field_validator("release", mode="before")
    @classmethod
    def _no_number(cls, value: object) -> object:
        if isinstance(value, float):  # 20260928.10 would have become 20260928.1
            todo = f"""quote it, on the command line as --data 'gvisor_release="{value}"'"""
            raise Problem("must be a string, because a number loses digits", got=value, todo=todo)
        return value

    @field_validator("release")
    @classmethod
    def _release(cls, value: str) -> str:
        return str(parse_release(value))

    @field_validator("source")
    @classmethod
    def _source(cls, value: str) -> str:
        check_source(value)
        return value

    @field_validator("runtimes")
    @classmethod
    def _runtime_names(cls, value: dict[str, Runtime]) -> dict[str, Runtime]:
        for name in value:
            check_runtime_name(name)
        return value

    @field_validator("runtimes")
    @classmethod
    def _sealed(cls, value: dict[str, Runtime], given: ValidationInfo) -> dict[str, Runtime]:
        # The keys of DispatchSettings are validated before those of this class.
        usual = None if given.data.get("default", "off") == "off" else Seal()
        seal = given.data.get("seal") or usual
        return {
            name: runtime if runtime.seal else runtime.model_copy(update={"seal": seal})
            for name, runtime in value.items()
        }

    @field_validator("daemon_json", "daemon_json_if_absent")
    @classmethod
    def _no_runtimes(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "runtimes" in value:
            raise Problem("the key runtimes cannot be set here", todo="use gvisor_runtimes")
        return value

    @model_validator(mode="after")
    def _checksum_known(self) -> Settings:
        if self.source == "debian" or not self.runtimes:
            return self
        if not self.sha512 and self.release not in LOCK["releases"]:
            raise Problem(
                f"is not set, and this package has no sha512 of release {self.release}",
                todo='write {"x86_64": "<sha512 of the archive>"}',
            )
        if not self.source.startswith("/"):  # only a directory itself shows which layout it has
            for arch in self.sha512 or LOCK["releases"][self.release]["sha512"]:
                self.archive.fetch(self.release, arch)
        return self

    @model_validator(mode="after")
    def _waits_in_time(self) -> Settings:
        waits_s = self.restart_wait_s + 2 * self.apply_timeout_s
        if self.host_timeout_s is not None and self.host_timeout_s <= waits_s:
            what = (
                "must be more than gvisor_restart_wait_s and twice gvisor_apply_timeout_s, which "
                f"are {waits_s} s"
            )
            todo = f"set it to {waits_s + MARGIN_S}, or remove it"
            raise Contradiction("host_timeout_s", what, got=self.host_timeout_s, todo=todo)
        return self

    @model_validator(mode="after")
    def _default_possible(self) -> Settings:
        if self.default == "off":
            return self
        if not self.runtimes:
            todo = 'declare one, or set gvisor_default = "off"'
            raise Contradiction("default", "needs a runtime in gvisor_runtimes", todo=todo)
        if self.default_runtime not in (None, *self.runtimes):
            todo = f"use one of {', '.join(self.runtimes)}, or declare this runtime"
            what = "not a runtime in gvisor_runtimes"
            raise Contradiction("default_runtime", what, got=self.default_runtime, todo=todo)
        for key in ("daemon_json", "daemon_json_if_absent"):
            if "default-runtime" in getattr(self, key):
                what = "the key default-runtime is set by gvisor_default"
                raise Contradiction(key, what, todo="remove this key")
        if self.exempt:
            what = "exempts by labels and names, which tenants choose"
            todo = "remove this key, then run pyinfra-gvisor accept NAME for each"
            raise Contradiction("exempt", what, todo=todo)
        return self

    @property
    def dispatch(self) -> Dispatch | None:
        """Return how containers without a runtime are handled; None if Docker decides."""
        if self.default == "off":
            return None
        usual = "runsc" if "runsc" in self.runtimes else next(iter(self.runtimes))
        runtime = self.default_runtime or usual
        takes_runc = self.default == "sandbox-all"
        return Dispatch(runtime, self.infrastructure, takes_runc, self.door)

    @property
    def has_door(self) -> bool:
        """Return True if dockerd asks before it does anything."""
        return self.default != "off" and self.door != "off"

    @property
    def preview(self) -> Preview | None:
        """Return what a node must know to say where its containers would run; None if no seal."""
        seals = {name: item.seal for name, item in self.runtimes.items() if item.seal}
        return preview(self.dispatch, seals, DEFAULT_RUNTIME)

    @property
    def proven_runtimes(self) -> dict[str, Runtime]:
        """Return the runtimes that a proof must see: the default one is a runtime like others."""
        found, dispatch = dict(self.runtimes), self.dispatch
        if dispatch:
            found[DEFAULT_RUNTIME] = self.runtimes[dispatch.runtime]
            if dispatch.takes_runc:
                found[RUNC_BY_NAME] = self.runtimes[dispatch.runtime]
        return found

    @property
    def retained_runtimes(self) -> bool | tuple[str, ...]:
        """
        Return which runtimes stay while containers need them; True for all.

        Every container that asked for no runtime needs the default one until it is recreated.
        """
        return True if self.keep_running else (DEFAULT_RUNTIME,)

    def part(self, kind: type[T]) -> T:
        """
        Return these settings, typed as the settings of one part, such as ``EgressSettings``.

        Raises ``TypeError`` if no part in the list of parts has settings of this type.
        """
        if not isinstance(self, kind):
            raise TypeError(f"no part in the list of parts has settings of type {kind.__name__}")
        return self

    @property
    def parsed_release(self) -> Release:
        """Return ``gvisor_release`` as a ``Release``, which can be compared."""
        return parse_release(self.release)

    @property
    def archive(self) -> Archive:
        """Return the source of the release, and its checksums."""
        sha512 = {str(arch): value for arch, value in self.sha512.items()}
        return Archive(self.source, sha512, self.download_timeout_s)

    def wanted_daemon_json(self) -> dict[str, Any]:
        """Return the keys of daemon.json to own: hardened and declared ones, without runtimes."""
        default = {} if self.default == "off" else {"default-runtime": DEFAULT_RUNTIME}
        found = _without_none({**HARDENED, **default, **self.daemon_json})
        if self.has_door:
            found[AUTHORIZATION] = [*found.get(AUTHORIZATION, ()), PLUGIN]
        return found

    @property
    def spares_ports(self) -> bool:
        """Return True unless the operator has set ``userland-proxy``."""
        return "userland-proxy" not in self.daemon_json

    def daemon_json_defaults(self) -> dict[str, Any]:
        """Return the keys of daemon.json to set only if the node's file does not have them."""
        defaults = {**HARDENED_IF_ABSENT, **self.daemon_json_if_absent}
        return _without_none(
            {key: value for key, value in defaults.items() if key not in self.daemon_json}
        )


def _without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item is not None}


def host_timeout_s(get: Callable[[str], Any]) -> int:
    """
    Return the seconds after which a host is given up; of an invalid value the default.

    + get: returns a host's data by key; settings are not checked yet when this is needed
    """

    def number(name: str) -> int:
        value = get(PREFIX + name)
        valid = type(value) is int and value >= 0  # True is an int, too
        return int(value if valid else Settings.model_fields[name].default or 0)

    waits_s = number("restart_wait_s") + 2 * number("apply_timeout_s")
    return number("host_timeout_s") or max(HOST_TIMEOUT_S, waits_s + MARGIN_S)


EXAMPLES: Final = {
    "gvisor_coolify_exempt": '[{"app": "shop", "reason": "needs the GPU"}]',
    "gvisor_coolify_servers": '["run-1"]',
    "gvisor_daemon_json": '{"max-concurrent-downloads": 3}',
    "gvisor_daemon_json_if_absent": '{"log-driver": "local"}',
    "gvisor_egress": '{"allow": [{"to": "10.0.0.5", "ports": ["5432"]}]}',
    "gvisor_exempt": '[{"name": "proxy", "reason": "our own reverse proxy"}]',
    "gvisor_infrastructure": '"infrastructure.json"',
    "gvisor_kernel": "{}",
    "gvisor_must_sandbox": '[{"name": "*"}]',
    "gvisor_restart_units": '["docker.service"]',
    "gvisor_runtimes": '{"runsc": {"network": "host"}}',
    "gvisor_seal": '{"binds": ["/srv/apps/site/html"]}',
    "gvisor_sha512": "{}",
    "gvisor_waivers": '{"2.2": "the default bridge is not used"}',
}
"""A value of each setting that is a list or a table, as Python."""


def load_settings(data: Mapping[str, Any]) -> tuple[Settings | None, dict[str, str]]:
    """
    Return the settings in a host's data and no problems, or None and the problem of each key.

    + data: all data of one host; only keys that begin with ``gvisor_`` are read
    """
    ours = {key: value for key, value in data.items() if key.startswith(PREFIX)}
    ours |= {key: value for key, value in data.items() if _is_misspelt(key)}
    try:
        return Settings.model_validate(ours), {}
    except ValidationError as error:
        problems: dict[str, str] = {}
        for item in error.errors(include_url=False):
            key, text = _explain(dict(item))
            problems[key] = f"{problems[key]}; and {text}" if key in problems else text
        return None, problems


def load_moved_settings(data: Mapping[str, Any]) -> tuple[Settings | None, dict[str, str]]:
    """
    Return the same as they will be when ``gvisor_default`` is set, before anything is accepted.

    A file of accepted infrastructure that does not exist yet is an empty one. Hosts without
    runtimes, or whose other keys contradict the default, keep ``off``.
    """
    given, file = dict(data), data.get(f"{PREFIX}infrastructure")
    if isinstance(file, str) and not Path(file).exists():
        given[f"{PREFIX}infrastructure"] = ()
    settings, problems = load_settings(given)
    if settings is None or settings.default != "off":
        return settings, problems
    moved, _ = load_settings({**given, f"{PREFIX}default": "sandbox"})
    return moved or settings, {}


def is_setting(key: str) -> bool:
    """Return True for a key of ours, and for one that is probably meant to be."""
    rest = key.removeprefix(PREFIX)
    known = key != rest and (rest in Settings.model_fields or _nearly(rest))
    return known or _is_misspelt(key)


@cache  # each key of each host is asked for
def _is_misspelt(key: str) -> bool:
    """Return True for ``gvsor_release``, which would otherwise be somebody else's key."""
    head, _, rest = key.partition("_")
    return head != PREFIX[:-1] and bool(near(head, [PREFIX[:-1]], cutoff=CLEAR)) and _nearly(rest)


def _nearly(name: str) -> bool:
    return bool(near(name, Settings.model_fields, cutoff=CLEAR))


def _explain(error: dict[str, Any]) -> tuple[str, str]:
    path = [str(part) for part in error["loc"] if part != "[key]"]
    context = error.get("ctx", {}).get("error")
    alone = context.key if isinstance(context, Contradiction) else f"{PREFIX}sha512"
    key = path[0] if path else alone
    inside = "".join(f"[{part!r}]" for part in path[1:])
    safe = shown(error["input"], [key, *path[1:]])
    if error["type"] == "extra_forbidden":
        what = f"unknown key, got {cut(safe)}; {_nearest(path)}"
    elif isinstance(context, Problem):
        what = str(context)
    else:
        what = f"{form(error)}, got {cut(safe)}"
        if key in EXAMPLES and not path[1:]:
            what += f"; write for example {key} = {EXAMPLES[key]}"
    return key, f"{inside} {what}".strip()


def _nearest(path: list[str]) -> str:
    """Return what to do about an unknown key: use the nearest one, or look into the list."""
    model = _model_at(path[:-1])
    prefix = "" if path[1:] else PREFIX
    found = near(path[-1], [prefix + name for name in model.model_fields], cutoff=0.6)
    if not found:
        return "list the keys with pyinfra-gvisor schema settings"
    clear = difflib.SequenceMatcher(None, path[-1], found[0]).ratio() >= CLEAR
    return f"use {found[0] if clear else ', '.join(found)}"


def _model_at(path: Iterable[str]) -> type[Strict]:
    """Return the model of the object at a path in the settings; its parts may also be indexes."""
    model: type[Strict] = Settings
    for part in path:
        field = model.model_fields.get(part.removeprefix(PREFIX))
        model = next(_models_in(field.annotation if field else None), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[Strict]]:
    """Yield the models that an annotation names, such as that of ``dict[str, Runtime]``."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
