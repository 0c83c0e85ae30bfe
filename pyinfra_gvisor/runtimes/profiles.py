"""A runtime as an operator asks for it: typed, and refused where it would undo the sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.runtimes.dangers import (
    LOG_VARIABLES,
    dangers,
    is_log_path,
    lacks_value,
    told,
)
from pyinfra_gvisor.runtimes.hardening import STRICT
from pyinfra_gvisor.runtimes.reviewed import DOCKERS, ON, Flag, review

# Coolify's option parser cuts values at "-", and dockerd gives these names a meaning of its own:
# https://docs.docker.com/engine/daemon/alternative-runtimes/
RUNTIME_NAME = re.compile(r"[a-z][a-z0-9]{0,39}")
# "node" is what the proof calls the machine itself.
RESERVED_RUNTIMES = frozenset({"runc", "node"})
RESERVED_ENDING = "canary"  # for the runtimes that are made to try a release, and go again

# A flag of runsc's that a key stands for. runsc's own list: `runsc flags`.
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

# One word: what follows a flag as a word of its own would be the command to runsc.
Word = Annotated[str, Field(pattern=r"^--?[A-Za-z][A-Za-z0-9_-]*(=[A-Za-z0-9._:/,%-]*)?$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]


class Runtime(Strict):
    """One runtime in ``gvisor_runtimes``."""

    network: Literal["host", "sandbox", "none"] = Field(
        "host",
        description="`host`: the sockets of the host's kernel, in the container's own network "
        "namespace. `sandbox`: gVisor's own network stack. `none`: loopback.",
    )
    dns: Literal["docker"] | None = Field(
        None,
        description="`docker`: Docker's names, with network `sandbox` too; a resolver on the node "
        "answers for Docker's, which gVisor's own network stack does not come to.",
    )
    hardening: Literal["standard", "strict"] = Field(
        "standard",
        description="`strict`: Docker's seccomp filter counts inside the sandbox too, the "
        "sandbox's process has no rights over files of others, and no program of another release "
        "stands in for one of runsc's. Slower where files are opened and made.",
    )
    platform: Literal["systrap", "kvm", "ptrace"] | None = Field(
        None, description="How system calls are intercepted; `None` leaves it to runsc."
    )
    overlay: Literal["none", "self", "memory"] = Field(
        "none",
        description="Where writes to the root file system go. `none`: where Docker expects them. "
        "`self`, `memory`: into the sandbox, faster, and gone with a restart.",
    )
    host_uds: Literal["none", "open", "create", "all"] = Field(
        "none", description="What a container may do with Unix sockets of the host; give a reason."
    )
    panic_log: str | None = Field(
        None,
        description="Where runsc's panics go, below `/var/log`; may hold `%TIMESTAMP%` and "
        "`%COMMAND%`.",
    )
    flags: tuple[Word, ...] = Field(
        (),
        description="Other flags of runsc, as it takes them: `--name` or `--name=value`. One that "
        "was not reviewed needs a reason.",
    )
    reason: Reason | None = Field(
        None, description="Why what endangers the node is wanted all the same; it is repeated."
    )

    @field_validator("flags")
    @classmethod
    def _possible(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        for flag in flags:
            name, _, value = flag.lstrip("-").partition("=")
            if name in TYPED:
                todo = f"use {TYPED[name]}"
                raise Problem(f"--{name} has a key of its own", got=flag, todo=todo)
            if name in {row.name for row in DOCKERS}:
                raise Problem("not for a runtime, Docker sets it", got=flag, todo="leave it out")
            if lacks_value(flag):
                what = f"runsc would take the word after --{name} for its value"
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
            what = 'dns "docker" is for network "sandbox"; with "host" Docker\'s own answers anyway'
            raise Problem(what, got=self.network, todo='leave "dns" out, or set network "sandbox"')
        return self

    @model_validator(mode="after")
    def _strict_alone(self) -> Runtime:
        names = {item.name for item in STRICT} if self.hardening == "strict" else set()
        for flag in self.flags:
            if flag.lstrip("-").partition("=")[0] in names:
                what = 'hardening "strict" sets this flag by itself'
                raise Problem(what, got=flag, todo="leave the flag out, or hardening")
        return self

    @model_validator(mode="after")
    def _reasoned(self) -> Runtime:
        found = () if self.reason else self.dangers()
        if found:
            raise Problem(
                f"dangerous without a reason: {', and '.join(found)}",
                todo='leave it out, or say why beside it: "reason": "<10 characters or more>"',
            )
        return self

    def dangers(self) -> tuple[str, ...]:
        """What this runtime opens to whoever runs in it, a phrase each."""
        return told(self._dangers())

    @property
    def filters_inside(self) -> bool:
        """Whether Docker's seccomp filter counts inside the sandbox, too."""
        return self.hardening == "strict" or self.has_on("oci-seccomp")

    @property
    def given_up(self) -> frozenset[str]:
        """The checks of the proof that such a danger makes impossible."""
        return frozenset(check for _, flag in self._dangers() for check in flag.gives_up)

    def has_on(self, name: str) -> bool:
        """Return True if a switch of runsc's is on; of several values the last one counts."""
        given = (flag.lstrip("-").partition("=") for flag in self.flags)
        values = [value if is_given else "true" for key, is_given, value in given if key == name]
        return bool(values) and values[-1] in ON.split("|")

    def _dangers(self) -> tuple[tuple[str, Flag], ...]:
        return dangers([f"--host-uds={self.host_uds}", *self.flags], self.network)


def check_runtime_name(name: str) -> None:
    """Raise ``Problem`` unless a runtime may be called ``name``."""
    if name in RESERVED_RUNTIMES or not RUNTIME_NAME.fullmatch(name):
        todo = "use letters and digits, 40 at most, not runc and not node"
        raise Problem("not a runtime name", got=name, todo=todo)
    if name.endswith(RESERVED_ENDING):
        what = f"names that end in {RESERVED_ENDING} are for trying releases"
        raise Problem(what, got=name, todo="call it otherwise")


def _check_log(path: str, variables: Iterable[str], what: str = "") -> None:
    if not is_log_path(path, variables):
        todo = f"write such a path; of variables it may hold {' and '.join(variables)}"
        raise Problem(f"{what}not a path below /var/log", got=path, todo=todo)


def risks(runtimes: Mapping[str, Runtime]) -> tuple[str, ...]:
    """What every output has to repeat: each dangerous runtime, and why it is wanted."""
    return tuple(
        f"RISK ACCEPTED: runtime {name}: {', and '.join(found)}. "
        f"Reason given: {' '.join((runtime.reason or '').split())}"
        for name, runtime in runtimes.items()
        if (found := runtime.dangers())
    )
