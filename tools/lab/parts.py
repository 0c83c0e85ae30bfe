"""
List the programs that the lab builds from source, and build them.

A part is built once for each recipe and Go version, and kept in the lab's cache. Its checksums
(sha256) are compared at each use. A part is never called a release: it is a lab build, and every
path to it says so.
"""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

from tools.lab import go
from tools.lab.build import Build, Tell, building, needs_build
from tools.lab.cache import Cache
from tools.lab.spec import OWN_ARCH, LabError

_RECIPES = 1
"""Increase when this module builds or packs in another way."""

_TELL_EVERY_S = 10
LAYOUT = "releases/release/{release}/{arch}/{file}"
"""Path of a release in gVisor's bucket and in a part, with the settings' placeholders."""


@dataclass(frozen=True)
class Program:
    """
    One Go program and the flags to build it.

    ``needs_module``: its go.mod has ``replace`` or ``exclude``, which ``go install`` refuses.
    """

    package: str
    flags: tuple[str, ...] = ()
    cgo: bool = False
    needs_module: bool = False

    @property
    def name(self) -> str:
        """Return the program's file name: https://pkg.go.dev/cmd/go, "go install"."""
        return self.package.rpartition("/")[2]


@dataclass(frozen=True)
class Part:
    """
    Programs of one Go module at one version, which the lab builds.

    ``release`` is the release that a runsc reports; such a part is packed like an archive of
    gVisor's. ``go`` is the oldest Go version that builds it (``go`` in its go.mod). ``needs``:
    further programs and C headers that the build needs.
    """

    name: str
    module: str
    version: str
    programs: tuple[Program, ...]
    go: go.Version
    release: str = ""
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"lab build of {self.module}@{self.version}"

    @property
    def directory(self) -> str:
        """Return the prefix of the part's directory, which says that it is a lab build."""
        return f"lab-build-{self.module.replace('/', '-')}@{self.version}"


_STRIPPED = "-s -w"
GVISOR_RELEASE = "20260905.0"
GVISOR = Part(
    "runsc",
    "gvisor.dev/gvisor",
    # The newest version on Go's module mirror; later than the last release with a known escape.
    # gvisor-bin/gvisor_sentry is this runsc too: runsc/cmd/sentry is no program in this version.
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
                # from hack/make.sh and hack/make/binary of that version
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
    # Docker 29 gives containers a time namespace, which runc supports since 1.2.
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
    needs=("gcc", "pkg-config", "/usr/include/stdlib.h", "/usr/include/seccomp.h"),
)
DOCKER_29 = (DOCKER, RUNC)
PARTS = (GVISOR, *DOCKER_29)


def take(part: Part, *, arch: str = OWN_ARCH, cache: Cache, tell: Tell) -> Path:
    """
    Return the directory of a part; build it if missing or damaged.

    Another process waits meanwhile. Raise ``LabError`` if the part cannot be built.
    """
    version = go.wanted(part.go)
    home = cache.parts / f"{part.directory}-{recipe_hash(part, version, arch)}"
    with cache.lock(f"part-{part.name}"):
        if needs_build(home, f"the {part}", tell=tell):
            _build(_Job(part, arch, version), home, cache=cache, tell=tell)
    return home


def recipe_hash(part: Part, version: go.Version, arch: str = OWN_ARCH) -> str:
    """Return 12 hex digits that change if anything changes that affects the part's files."""
    text = json.dumps([_RECIPES, asdict(part), version, go.ENVIRONMENT, arch])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def release_archive(home: Path, part: Part = GVISOR, *, arch: str = OWN_ARCH) -> Path:
    """Return the path of the archive in the directory of a runsc part."""
    place = {"release": part.release, "arch": arch, "file": "gvisor.tar.bz2"}
    return home / LAYOUT.format(**place)


@dataclass(frozen=True)
class _Job:
    """A part to build, for an architecture, with a version of Go."""

    part: Part
    arch: str
    version: go.Version


def _build(job: _Job, home: Path, *, cache: Cache, tell: Tell) -> None:
    part = job.part
    _check_tools(part)
    program = go.program(job.version, cache=cache, tell=tell)
    called = f"go{go.written(job.version)}"
    what = f"the {part} for {job.arch} with {called}"
    with building(what, f"part-{part.name}", cache=cache, tell=tell) as build:
        for each in part.programs:
            _compile(job, each, program, build)
        if part.release:
            _pack(job, build)
        build.keep(home, {"what": str(part), "go": called, "part": asdict(part)})


def _check_tools(part: Part) -> None:
    """Raise ``LabError`` if a program or header that the part needs is missing."""
    missing = [path for path in part.needs if not (Path(path).exists() or shutil.which(path))]
    if missing:
        what = f"lab: the {part} needs {', '.join(missing)}, which this machine lacks"
        raise LabError(what, todo="run .ci/setup dev")


def _compile(job: _Job, program: Program, with_go: Path, build: Build) -> None:
    part, made, module = job.part, build.made, build.directory / "module"
    path = build.directory / "path"
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
        **go.ENVIRONMENT,
        **go.target(job.arch),
        "CGO_ENABLED": str(int(program.cgo)),
        "GOBIN": "",  # Go does not install programs for another architecture there
        "GOENV": "off",
        # Downloads and intermediate files are removed with the build directory.
        "GOPATH": str(path),
        "GOCACHE": str(build.directory / "cache"),
    }
    for command in commands:
        build.run(
            [str(with_go), *command],
            progress=_counted(program.name),
            cwd=module if program.needs_module else made,
            environment=environment,
        )
    for installed in (path / "bin").rglob(program.name):
        installed.rename(made / program.name)


def _counted(name: str) -> Callable[[str], str | None]:
    """Return a function that reports progress every 10 s; each output line of Go is a package."""
    packages, told_s = 0, monotonic()

    def progress(_line: str) -> str | None:
        nonlocal packages, told_s
        packages += 1
        if monotonic() - told_s < _TELL_EVERY_S:
            return None
        told_s = monotonic()
        return f"{name}: {packages} packages so far"

    return progress


def _pack(job: _Job, build: Build) -> None:
    """Pack programs like the official archive: https://gvisor.dev/docs/user_guide/install/"""
    build.tell(f"  packing the archive of {job.part.release}")
    archive, made = release_archive(build.made, job.part, arch=job.arch), build.made
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
