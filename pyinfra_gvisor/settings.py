"""
Every ``gvisor_*`` key of group data: its type, default and meaning in one place.

The JSON schema beside this file and the table in the README are made from it
(``python -m pyinfra_gvisor.schema``).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from pyinfra_gvisor.coolify.settings import CoolifySettings
from pyinfra_gvisor.errors import Problem, cut
from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.parts import members
from pyinfra_gvisor.policy.settings import AuditSettings
from pyinfra_gvisor.redaction import shown
from pyinfra_gvisor.releases import Release, parse_release
from pyinfra_gvisor.releases.lock import DEFAULT, LOCK
from pyinfra_gvisor.releases.sources import Archive, check_source
from pyinfra_gvisor.releases.sums import Sums
from pyinfra_gvisor.runtimes.profiles import Runtime, check_runtime_name

PREFIX = "gvisor_"

# The hardened default: docker-bench 2.14, 2.15 and 2.16.
HARDENED: dict[str, Any] = {
    "no-new-privileges": True,
    "live-restore": True,
    "userland-proxy": False,
}
# Of these a value that the node already has is as good as ours, so it stays.
HARDENED_IF_ABSENT: dict[str, Any] = {
    "metrics-addr": "127.0.0.1:9323",
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "3"},
}

Seconds = Annotated[int, Field(ge=1, le=3600, strict=True)]

T = TypeVar("T")

if TYPE_CHECKING:

    class PartSettings(Strict):
        """The keys of every part; they are read by ``Settings.part``, which knows their types."""

else:
    PartSettings = type("PartSettings", tuple(members("settings", "SETTINGS").values()), {})


class Settings(AuditSettings, CoolifySettings, PartSettings):
    """What an operator may set in ``inventories/group_data/*.py``."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: PREFIX + name,
        validate_by_alias=True,
        validate_by_name=False,
    )

    release: str = Field(
        DEFAULT, description="The runsc release to have, gVisor's date and number."
    )
    source: str = Field(
        "official",
        description="Where it comes from: `official` (gVisor's bucket), `github` (the assets of "
        "its releases), `apt` (gVisor's own repository; `apt+https://…`: a mirror of it), a URL or "
        "an absolute path on the controller (both may hold `{release}`, `{arch}` and `{file}`; a "
        "directory has the bucket's layout below it), or `debian` (the node's own apt; old, for "
        "the lab).",
    )
    sha512: dict[Literal["x86_64", "aarch64"], Sums] = Field(
        default_factory=dict,
        description="The archive's sha512 by architecture, or those of files by name (`runsc` and "
        "`containerd-shim-runsc-v1` up to 20260817.0; `runsc.deb` for `apt`), unless this package "
        "knows the release.",
    )
    download_timeout_s: Seconds = Field(
        60, description="Seconds without progress until a download is given up."
    )
    runtimes: dict[str, Runtime] = Field(
        default_factory=lambda: {"runsc": Runtime()},
        description="Docker runtimes by name, as many as are wanted: `network` (`host`, `sandbox`, "
        "`none`), `dns` (`docker`: Docker's names with network `sandbox` too), `hardening` "
        "(`standard`, `strict`), `platform` (`systrap`, `kvm`, `ptrace`), `overlay` (`none`: what "
        "a container writes outlives its restart, `self`, `memory`), `host_uds` (`none`, `open`, "
        "`create`, `all`), `panic_log` (a path below `/var/log`), `flags` (others of runsc's), "
        "`reason` (why what is dangerous of these is wanted). "
        "`{}`: no gVisor on this node, only its daemon.json is kept.",
    )
    daemon_json: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of daemon.json to own over the hardened ones; `None` leaves one alone.",
    )
    daemon_json_if_absent: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of daemon.json to set only where the node has no value of its own; "
        "`None` leaves one alone.",
    )
    docker: Literal["present", "debian", "docker-ce"] = Field(
        "present",
        description="`present`: refuse a node without Docker. `debian`: install `docker.io`. "
        "`docker-ce`: install from Docker's own apt repository.",
    )
    proof: Literal["changed", "always", "never"] = Field(
        "changed",
        description="When isolation is proven: when the node is not as last proven, always, never.",
    )
    proof_image: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$",
        description="An image on the node to prove with, instead of an empty one.",
    )
    accept_risk: str | None = Field(
        None,
        min_length=10,
        description="Why a release with a known escape is used all the same; it is repeated.",
    )
    restart: Literal["auto", "reload", "never"] = Field(
        "auto",
        description="`auto`: dockerd is restarted where a key takes effect only then, with "
        "live-restore on. `reload`: such a key is written and the restart stays owed, which every "
        "run says. `never`: a change that needs a restart is refused.",
    )
    apply_timeout_s: Seconds = Field(
        60,
        description="Seconds until dockerd must be as declared, else the old file is put back.",
    )
    restart_wait_s: Annotated[int, Field(ge=0, le=86400, strict=True)] = Field(
        300, description="Seconds that a restart waits for `--rm` containers, which it would end."
    )

    keep_releases: Annotated[int, Field(ge=1, le=100, strict=True)] = Field(
        2,
        description="How many releases stay on a node, used or not, the present one included. "
        "Others go, unless something needs them: a container, a process, a generation.",
    )
    generation: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None,
        description="For `deploys/rollback.py`: the generation to go back to, `None`: the newest.",
    )
    keep_running: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="Keep a runtime that is not declared any more as long as a container needs it, "
        "running or stopped: its entry in daemon.json, its wrapper and its release. A later run "
        "removes them. For all deploys; `deploys/remove.py` leaves running sandboxes alone, too. "
        "`False`: refuse such a run.",
    )

    @field_validator("release", mode="before")
    @classmethod
    def _no_number(cls, value: object) -> object:
        if isinstance(value, float):  # 20260928.10 would have become 20260928.1
            todo = f"""quote it, on the command line as --data 'gvisor_release="{value}"'"""
            raise Problem("a number, and numbers lose digits", got=value, todo=todo)
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

    @field_validator("daemon_json", "daemon_json_if_absent")
    @classmethod
    def _no_runtimes(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "runtimes" in value:
            raise Problem("runtimes has a setting of its own", todo="use gvisor_runtimes")
        return value

    @model_validator(mode="after")
    def _checksum_known(self) -> Settings:
        if self.source == "debian" or not self.runtimes:
            return self
        if not self.sha512 and self.release not in LOCK["releases"]:
            raise Problem(
                f"missing, and this package knows no sha512 of {self.release}",
                todo='write {"x86_64": "<sha512 of the archive>"}',
            )
        if not self.source.startswith("/"):  # a directory has both layouts, which only it can say
            for arch in self.sha512 or LOCK["releases"][self.release]["sha512"]:
                self.archive.fetch(self.release, arch)
        return self

    def part(self, kind: type[T]) -> T:
        """
        Return these settings as those of one part, such as ``EgressSettings``.

        Raises ``TypeError`` if no part in the list of parts has them.
        """
        if not isinstance(self, kind):
            raise TypeError(f"{kind.__name__} are no settings of a part in the list")
        return self

    @property
    def parsed_release(self) -> Release:
        """``gvisor_release``, comparable."""
        return parse_release(self.release)

    @property
    def archive(self) -> Archive:
        """Where the release comes from, and what it must be."""
        sha512 = {str(arch): value for arch, value in self.sha512.items()}
        return Archive(self.source, sha512, self.download_timeout_s)

    def wanted_daemon_json(self) -> dict[str, Any]:
        """The keys of daemon.json to own, runtimes apart: the hardened ones and the host's own."""
        return _without_none({**HARDENED, **self.daemon_json})

    @property
    def spares_ports(self) -> bool:
        """Return True unless the operator has decided on ``userland-proxy``."""
        return "userland-proxy" not in self.daemon_json

    def daemon_json_defaults(self) -> dict[str, Any]:
        """The keys of daemon.json to set where the node has none of its own."""
        defaults = {**HARDENED_IF_ABSENT, **self.daemon_json_if_absent}
        return _without_none(
            {key: value for key, value in defaults.items() if key not in self.daemon_json}
        )


def _without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item is not None}


def load_settings(data: Mapping[str, Any]) -> tuple[Settings | None, dict[str, str]]:
    """
    The settings in a host's data, or what is wrong with each key.

    + data: all data of one host; only keys that begin with ``gvisor_`` are looked at

    Returns the settings and no problems, or None and what is wrong by key.
    """
    ours = {key: value for key, value in data.items() if key.startswith(PREFIX)}
    try:
        return Settings.model_validate(ours), {}
    except ValidationError as error:
        problems: dict[str, str] = {}
        for item in error.errors(include_url=False):
            key, text = _explain(dict(item))
            problems[key] = f"{problems[key]}; and {text}" if key in problems else text
        return None, problems


def _explain(error: dict[str, Any]) -> tuple[str, str]:
    path = [str(part) for part in error["loc"] if part != "[key]"]
    key = path[0] if path else "gvisor_sha512"
    inside = "".join(f"[{part!r}]" for part in path[1:])
    safe = shown(error["input"], [key, *path[1:]])
    if error["type"] == "extra_forbidden":
        what = f"unknown key, got {cut(safe)}; known are {_nearest(path)}"
    elif isinstance(context := error.get("ctx", {}).get("error"), Problem):
        what = str(context)
    else:
        what = f"{error['msg'][0].lower()}{error['msg'][1:]}, got {cut(safe)}"
    return key, f"{inside} {what}".strip()


def _nearest(path: list[str]) -> str:
    """The known keys that look like the last of ``path``, or all of them."""
    names = (
        list(Runtime.model_fields)
        if len(path) > 1
        else [PREFIX + name for name in Settings.model_fields]
    )
    return ", ".join(difflib.get_close_matches(path[-1], names, n=3) or names)
