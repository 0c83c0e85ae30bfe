"""
What the lab builds from source, since no registry or bucket has it for everybody: one list.

A part is built once for a recipe and a Go, and kept in the lab's cache. Its files are compared with
their sha256 whenever it is taken out. Nothing here is a release: a part calls itself a lab build.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

from pyinfra_gvisor.lab import go
from pyinfra_gvisor.lab.build import Build, Tell, building
from pyinfra_gvisor.lab.cache import Cache

RECORD = "part.json"
_TELL_EVERY_S = 10
LAYOUT = "releases/release/{release}/{arch}/{file}"
"""Where a release lies in gVisor's bucket, and below a part: the settings' place holders."""


@dataclass(frozen=True)
class Program:
    """
    One Go program and how it is built.

    ``needs_module``: its go.mod has ``replace`` or ``exclude``, and ``go install`` refuses that.
    """

    package: str
    flags: tuple[str, ...] = ()
    cgo: bool = False
    needs_module: bool = False

    @property
    def name(self) -> str:
        """What Go calls the program: https://pkg.go.dev/cmd/go, "go install"."""
        return self.package.rpartition("/")[2]


@dataclass(frozen=True)
class Part:
    """
    Something that the lab builds: programs of one Go module at one version.

    ``release`` is what a runsc calls itself, for those packed as gVisor's bucket has them.
    ``go`` is the oldest Go that builds it (``go`` in its go.mod).
    """

    name: str
    module: str
    version: str
    programs: tuple[Program, ...]
    go: tuple[int, int, int]
    release: str = ""

    def __str__(self) -> str:
        return f"lab build of {self.module}@{self.version}"

    @property
    def directory(self) -> str:
        """How its directory begins, so that every path into the part says what it is."""
        return f"lab-build-{self.module.replace('/', '-')}@{self.version}"


_STRIPPED = "-s -w"
GVISOR_RELEASE = "20260905.0"
GVISOR = Part(
    "runsc",
    "gvisor.dev/gvisor",
    # The newest that Go's module mirror has; above the floor of the known escapes. Its runsc is
    # what runs as gvisor-bin/gvisor_sentry, too: runsc/cmd/sentry is no program in this version.
    "v0.0.0-20260905035102-160fafc42237",
    tuple(
        Program(
            f"gvisor.dev/gvisor/{name}",
            (
                "-ldflags",
                f"{_STRIPPED} -X gvisor.dev/gvisor/runsc/version.version=release-{GVISOR_RELEASE}",
            ),
        )
        for name in ("runsc", "shim")
    ),
    (1, 26, 3),
    GVISOR_RELEASE,
)
DOCKER_VERSION = "29.7.1"
DOCKER = Part(
    "docker",
    "github.com/moby/moby/v2",
    "v2.0.0-beta.21",
    tuple(
        Program(
            f"github.com/moby/moby/v2/cmd/{name}",
            (
                # hack/make.sh and hack/make/binary of that version
                *("-tags", "netgo osusergo static_build nri_no_wasm"),
                "-ldflags",
                f"{_STRIPPED} -X github.com/moby/moby/v2/dockerversion.Version={DOCKER_VERSION}",
            ),
        )
        for name in ("dockerd", "docker-proxy")
    ),
    (1, 26, 0),
)
RUNC = Part(
    # Docker 29 gives containers a time namespace, which runc knows since 1.2.
    "runc",
    "github.com/opencontainers/runc",
    "v1.3.3",
    (
        Program(
            "github.com/opencontainers/runc",
            ("-tags", "seccomp", "-ldflags", f"{_STRIPPED} -X main.version=1.3.3"),
            cgo=True,
            needs_module=True,
        ),
    ),
    (1, 23, 0),
)
DOCKER_29 = (DOCKER, RUNC)
PARTS = (GVISOR, *DOCKER_29)


def take(part: Part, *, cache: Cache, tell: Tell) -> Path:
    """
    Return the directory of a part, built if it is missing or damaged.

    Whoever comes second waits for the first. Raises ``LabError`` where it cannot be built.
    """
    tools = go.tools(part.go, cache=cache, tell=tell)
    home = cache.parts / f"{part.directory}-{recipe_hash(part, tools.version)}"
    with cache.lock(f"part-{part.name}"):
        damage = damage_of(home)
        if damage is None:
            return home
        if home.exists():
            tell(f"the {part} is damaged ({damage}); building it again")
            shutil.rmtree(home)
        _build(part, home, tools, cache=cache, tell=tell)
        _remove_older(part, home)
    return home


def recipe_hash(part: Part, go_version: str) -> str:
    """Return 12 hex digits that change with anything that the part's files depend on."""
    text = json.dumps([asdict(part), go_version, platform.machine()])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def damage_of(home: Path) -> str | None:
    """Return what is wrong with a part's directory, or None if all is as it was built."""
    try:
        sums: dict[str, str] = json.loads((home / RECORD).read_text(encoding="utf-8"))["files"]
        for name, expected in sums.items():
            if (found := sha256(home / name)) != expected:
                return f"sha256 of {name} is {found[:12]}…, expected {expected[:12]}…"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        return f"{RECORD} cannot be read: {error}"
    return None


def release_archive(home: Path, part: Part = GVISOR) -> Path:
    """Return where the archive lies in the directory of a part that is a runsc."""
    place = {"release": part.release, "arch": platform.machine(), "file": "gvisor.tar.bz2"}
    return home / LAYOUT.format(**place)


def sha256(path: Path) -> str:
    """Return a file's checksum in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _build(part: Part, home: Path, tools: go.Tools, *, cache: Cache, tell: Tell) -> None:
    began_s = monotonic()
    tell(f"building the {part} with {tools.version}, once; this takes some minutes")
    with building(f"part-{part.name}", cache=cache, tell=tell) as build:
        made = build.directory / "made"
        made.mkdir()
        for program in part.programs:
            _compile(part, program, tools, build)
        if part.release:
            _pack(part, made, tell=tell)
        record = {
            "what": str(part),
            "go": tools.version,
            "programs": [asdict(program) for program in part.programs],
            "files": {
                str(path.relative_to(made)): sha256(path)
                for path in sorted(made.rglob("*"))
                if path.is_file()
            },
        }
        (made / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        home.parent.mkdir(exist_ok=True)
        made.rename(home)
    tell(f"built the {part} in {monotonic() - began_s:.0f} s")


def _compile(part: Part, program: Program, tools: go.Tools, build: Build) -> None:
    made, module = build.directory / "made", build.directory / "module"
    commands = [["install", "-v", *program.flags, f"{program.package}@{part.version}"]]
    if program.needs_module:
        module.mkdir()
        output = ["-o", str(made / program.name)]
        commands = [
            ["mod", "init", "lab"],
            ["get", f"{part.module}@{part.version}"],
            ["build", "-v", *output, *program.flags, program.package],
        ]
    environment = {
        **tools.environment,
        "CGO_ENABLED": str(int(program.cgo)),
        "GOBIN": str(made),
    }
    for command in commands:
        build.run(
            [str(tools.program), *command],
            progress=_counted(program.name),
            cwd=module if program.needs_module else made,
            environment=environment,
        )


def _counted(name: str) -> Callable[[str], str | None]:
    """Tell now and then how far Go is; every line of its output is a package."""
    packages, told_s = 0, monotonic()

    def progress(_line: str) -> str | None:
        nonlocal packages, told_s
        packages += 1
        if monotonic() - told_s < _TELL_EVERY_S:
            return None
        told_s = monotonic()
        return f"{name}: {packages} packages so far"

    return progress


def _pack(part: Part, made: Path, *, tell: Tell) -> None:
    """Pack programs as the official archive has them: https://gvisor.dev/docs/user_guide/install/"""
    tell(f"  packing the archive of {part.release}")
    archive = release_archive(made, part)
    archive.parent.mkdir(parents=True)
    members = {
        "runsc": made / "runsc",
        "containerd-shim-runsc-v1": made / "shim",
        "gvisor-bin/gvisor_sentry": made / "runsc",
    }
    with tarfile.open(archive, "w:bz2", compresslevel=1) as packed:
        for name, path in members.items():
            packed.add(path, name, filter=_of_root)
    for path in {*members.values()}:
        path.unlink()


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755
    return member


def _remove_older(part: Part, home: Path) -> None:
    prefix = f"lab-build-{part.module.replace('/', '-')}@"
    for other in home.parent.glob(f"{prefix}*"):
        if other != home:
            shutil.rmtree(other)
