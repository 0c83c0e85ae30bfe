"""What a node tells everybody of its isolation: the keeper writes it, and a command prints it."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.base.node_files import RECORDS_DIR
from pyinfra_gvisor.base.scripts import program, script
from pyinfra_gvisor.parts.keeper.runtimes import Restored
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import escapes_in
from pyinfra_gvisor.settings import Settings

FILE: Final = "/run/pyinfra-gvisor-isolation.json"
SILENT_MIN: Final = 3  # the keeper checks every minute

_UNKNOWN = " null after a rollback, which does not know it."


class RuntimeIsolation(Strict):
    """A runtime that dockerd has for containers."""

    release: str = Field(description="Its runsc release.")
    released: str = Field(description="The day in the release's name.")
    known_escapes: tuple[str, ...] = Field(
        description="Published escapes from the release, as this package knew them at the deploy."
    )
    network: str | None = Field(description="`host`, `sandbox` or `none`." + _UNKNOWN)
    overlay: str | None = Field(description="`none`, `self` or `memory`." + _UNKNOWN)
    sealed: bool | None = Field(
        description="Whether a seal says what its containers may not have." + _UNKNOWN
    )


class ProofIsolation(Strict):
    """The last proof that was made on the node."""

    at: str = Field(description="Time, ISO 8601 with UTC offset.")
    held_at: str | None = Field(description="Time of the last one in which no check failed.")
    sha256: str = Field(description="The checksum of its record, `proof.json`.")


class Declared(Strict):
    """What the last deploy has brought to the node."""

    runtimes: dict[str, RuntimeIsolation] = Field(default_factory=dict)
    default: Literal["off", "sandbox", "sandbox-all"] | None = Field(
        None, description="Where containers run that ask for no runtime: `gvisor_default`."
    )
    builds: bool | None = Field(None, description="Whether build steps run in gVisor.")
    door: Literal["off", "report", "refuse"] | None = Field(
        None, description="Whether dockerd asks before it acts on a request: `gvisor_door`."
    )


class Isolation(Declared):
    """
    What a node says of its isolation. ``holds`` is about the node, not about each container.

    If the keeper is silent, the command prints only the first four members.
    """

    version: Literal[1]
    holds: bool = Field(
        description="Whether all that is declared is in force, and was proven with this kernel, "
        "dockerd and daemon.json."
    )
    at: str = Field(description="Time of the look, ISO 8601 with UTC offset.")
    why: tuple[str, ...] = Field(description="Why it does not hold.")
    kernel: str | None = None
    docker: str | None = Field(None, description="null if dockerd did not answer.")
    in_force: dict[str, bool] = Field(
        default_factory=dict, description="What the keeper has checked."
    )
    proof: ProofIsolation | None = None


def declared_text(settings: Settings, restored: Restored | None) -> str:
    """
    Return the members of a JSON object that say what the node has been brought to.

    + restored: what a rollback has restored; None if everything is as the settings declare
    """
    return _declared(settings, restored).model_dump_json()[1:-1]


def _declared(settings: Settings, restored: Restored | None) -> Declared:
    if restored is None:
        return Declared(
            runtimes={
                name: _runtime(settings.release, runtime.network, runtime.overlay, runtime.seal)
                for name, runtime in settings.runtimes.items()
            },
            default=settings.default,
            builds=settings.default == "sandbox-all",
            door="off" if settings.default == "off" else settings.door,
        )
    release = restored.release
    names = restored.runtimes if release else ()
    every = "divert" in restored.parts
    return Declared(
        runtimes={name: _runtime(str(release), None, None, None) for name in names},
        default=("sandbox-all" if every else "sandbox") if restored.default else "off",
        builds=restored.default and every,
    )


def _runtime(
    release: str, network: str | None, overlay: str | None, seal: object
) -> RuntimeIsolation:
    parsed = parse_release(release)
    return RuntimeIsolation(
        release=release,
        released=f"{release[:4]}-{release[4:6]}-{release[6:8]}",
        known_escapes=tuple(item.id for item in escapes_in(parsed)),
        network=network,
        overlay=overlay,
        sealed=None if network is None else seal is not None,
    )


def variables(settings: Settings, restored: Restored | None) -> dict[str, str]:
    """Return the variables with which ``check.sh`` writes the file."""
    return {
        "isolation_file": FILE,
        "isolation_declared": declared_text(settings, restored),
        "isolation_writes": program("base/json.pl", "parts/keeper/isolation.pl"),
        "isolation_records": RECORDS_DIR,
    }


def command_text() -> str:
    """Return the program that prints the file."""
    name = "parts/keeper/isolation"
    return "#!/bin/sh\n" + script(name, isolation_file=FILE, isolation_min=SILENT_MIN)
