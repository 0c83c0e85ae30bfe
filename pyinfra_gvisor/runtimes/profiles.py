"""A runtime as an operator declares it: typed, and refused if it would undo the sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.runtimes.hardening import STRICT
from pyinfra_gvisor.runtimes.presets import Name, with_preset
from pyinfra_gvisor.runtimes.reviewed import DOCKERS, ON, Flag, review
from pyinfra_gvisor.runtimes.unsafe_flags import (
    LOG_VARIABLES,
    dangers,
    describe,
    is_log_path,
    lacks_value,
)

# Coolify's option parser cuts values at "-", and names such as io.containerd.… have a meaning in
# dockerd: https://docs.docker.com/engine/daemon/alternative-runtimes/
RUNTIME_NAME = re.compile(r"[a-z][a-z0-9]{0,39}")
# In the proof, "node" is the machine itself.
RESERVED_RUNTIMES = frozenset({"runc", "node"})
DEFAULT_RUNTIME = "gvisordefault"  # the name of the dispatcher, see gvisor_default
RUNC_BY_NAME = "runcbyname"  # what a proof calls a container that asks for runc
RESERVED_ENDING = "canary"  # for temporary runtimes that try a release

# Flags of runsc that have a key of their own. runsc's own list: `runsc flags`.
TYPED = {
    "network": "network",
    "platform": "platform",
    "overlay": "overlay",
    "overlay2": "overlay",
    "host-uds": "host_uds",
    "fsgofer-host-uds": "host_uds",
    "panic-log": "panic_log",
}
PANIC_VARIABLES = LOG_VARIABLES[
    :2
]  # in every release: DebugLogFile in runsc/specutils/specutils.go

# One word: runsc would read a second word as its command.
Word = Annotated[str, Field(pattern=r"^--?[A-Za-z][A-Za-z0-9_-]*(=[A-Za-z0-9._:/,%-]*)?$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]


class Runtime(Strict):
    """One runtime in ``gvisor_runtimes``."""

    preset: Name | None = Field(
        None,
        description="Options for apps that do not run otherwise, each with its price: "
        "[presets](../runtimes.md#presets).",
    )
    network: Literal["host", "sandbox", "none"] = Field(
        "host",
        description="`host`: the host kernel's sockets, in the container's network namespace. "
        "`sandbox`: gVisor's network stack. `none`: only loopback.",
    )
    dns: Literal["docker"] | None = Field(
        None,
        description="`docker`: Docker's names also resolve with network `sandbox`, by a resolver "
        "on the node.",
    )
    hardening: Literal["standard", "strict"] = Field(
        "standard",
        description="`standard`: runsc's defaults. `strict`: Docker's seccomp filter also inside, "
        "all files opened by the gofer (slower), no helper programs of another release.",
    )
    platform: Literal["systrap", "kvm", "ptrace"] | None = Field(
        None, description="How system calls are intercepted. `None`: runsc's default."
    )
    overlay: Literal["none", "self", "memory"] = Field(
        "none",
        description="Where writes to the root file system go. `none`: Docker's storage. `self`, "
        "`memory`: the sandbox; faster, but lost at a restart.",
    )
    host_uds: Literal["none", "open", "create", "all"] = Field(
        "none",
        description="Unix sockets of the host. All but `none` need a `reason`.",
    )
    panic_log: str | None = Field(
        None,
        description="File of runsc's panic log, below `/var/log`, with `%TIMESTAMP%` and "
        "`%COMMAND%`.",
    )
    flags: tuple[Word, ...] = Field(
        (),
        description="Other flags of runsc, `--name` or `--name=value`. Unreviewed ones need a "
        "`reason`.",
    )
    seal: Seal | None = Field(
        None,
        description="A seal of its own. `None`: `gvisor_seal`.",
    )
    reason: Reason | None = Field(
        None,
        description="Why you want an option that endangers the node, in 10 characters or more; "
        "every output repeats it. `None`: refuse it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_a_preset(cls, given: object) -> object:
        return with_preset(given) if isinstance(given, Mapping) else given

    @field_validator("flags")
    @classmethod
    def _possible(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        for flag in flags:
            name, _, value = flag.lstrip("-").partition("=")
            if name in TYPED:
                todo = f"use the key {TYPED[name]}"
                raise Problem(f"--{name} has a key of its own", got=flag, todo=todo)
            if name in {row.name for row in DOCKERS}:
                what = f"Docker sets --{name} itself"
                raise Problem(what, got=flag, todo="remove this flag")
            if lacks_value(flag):
                what = f"--{name} has no value, so runsc would use the next word as its value"
                raise Problem(what, got=flag, todo=f"write --{name}=<value>")
            if review(name).log and value:
                _check_log(value, LOG_VARIABLES, f"--{name} is ")
        return flags

    @field_validator("panic_log")
    @classmethod
    def _below_var_log(cls, path: str | None) -> str | None:
        if path is not None:
            _check_log(path, PANIC_VARIABLES)
        return path

    @model_validator(mode="after")
    def _names_of_a_sandbox(self) -> Runtime:
        if self.dns and self.network != "sandbox":
            what = 'dns "docker" needs network "sandbox"'
            todo = (
                'remove "dns" (with network "host" Docker\'s own resolver answers), or set network '
                '"sandbox"'
            )
            raise Problem(what, got=self.network, todo=todo)
        return self

    @model_validator(mode="after")
    def _strict_alone(self) -> Runtime:
        names = {item.name for item in STRICT} if self.hardening == "strict" else set()
        for flag in self.flags:
            if flag.lstrip("-").partition("=")[0] in names:
                what = 'hardening "strict" sets this flag itself'
                raise Problem(what, got=flag, todo="remove the flag, or remove hardening")
        return self

    @model_validator(mode="after")
    def _reasoned(self) -> Runtime:
        found = () if self.reason else self.dangers()
        if found:
            raise Problem(
                f"a reason is required for: {'; '.join(found)}",
                todo='remove these options, or add "reason": "<10 characters or more>"',
            )
        return self

    def dangers(self) -> tuple[str, ...]:
        """Return the dangers of this runtime, a phrase each."""
        return describe(self._dangers())

    @property
    def filters_inside(self) -> bool:
        """Return True if Docker's seccomp filter also applies inside the sandbox."""
        return self.hardening == "strict" or self.has_on("oci-seccomp")

    @property
    def given_up(self) -> frozenset[str]:
        """Return the checks of the proof that the dangers of this runtime make impossible."""
        return frozenset(check for _, flag in self._dangers() for check in flag.gives_up)

    def has_on(self, name: str) -> bool:
        """Return True if a switch of runsc is on; the last of several values counts."""
        given = (flag.lstrip("-").partition("=") for flag in self.flags)
        values = [value if is_given else "true" for key, is_given, value in given if key == name]
        return bool(values) and values[-1] in ON.split("|")

    def _dangers(self) -> tuple[tuple[str, Flag], ...]:
        return dangers([f"--host-uds={self.host_uds}", *self.flags], self.network)


def check_runtime_name(name: str) -> None:
    """Raise ``Problem`` unless a runtime may be called ``name``."""
    if name in RESERVED_RUNTIMES or not RUNTIME_NAME.fullmatch(name):
        todo = "use at most 40 lower-case letters and digits, but not runc and not node"
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        if plain != name and plain not in RESERVED_RUNTIMES and RUNTIME_NAME.fullmatch(plain):
            todo = f"{todo}: {plain}"
        raise Problem("not a valid runtime name", got=name, todo=todo)
    if name in (DEFAULT_RUNTIME, RUNC_BY_NAME):
        what = f"the name {name} is reserved for gvisor_default"
        raise Problem(what, got=name, todo="choose another name")
    if name.endswith(RESERVED_ENDING):
        what = f"names that end in {RESERVED_ENDING} are reserved to try releases"
        raise Problem(what, got=name, todo="choose another name")


def _check_log(path: str, variables: Iterable[str], what: str = "") -> None:
    if not is_log_path(path, variables):
        todo = f"write such a path; it may contain the variables {' and '.join(variables)}"
        raise Problem(f"{what}not a path below /var/log", got=path, todo=todo)


def risks(runtimes: Mapping[str, Runtime]) -> tuple[str, ...]:
    """Return each dangerous runtime and seal with its reason, which every output must repeat."""
    sealed: dict[Seal, list[str]] = {}
    for name, runtime in runtimes.items():
        if runtime.seal:
            sealed.setdefault(runtime.seal, []).append(name)
    seals = ((f"seal of {', '.join(names)}", seal) for seal, names in sealed.items())
    accepted: list[tuple[str, Runtime | Seal]] = [
        *((f"runtime {name}", item) for name, item in runtimes.items()),
        *seals,
    ]
    return tuple(
        f"RISK ACCEPTED: {what}: {'; '.join(found)}. "
        f"Reason given: {' '.join((item.reason or '').split())}"
        for what, item in accepted
        if (found := item.dangers())
    )
