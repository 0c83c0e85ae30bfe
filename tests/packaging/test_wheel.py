"""What is installed, and what runs without installing anything."""

import runpy
import tarfile
import zipfile
from pathlib import Path

import pyinfra
import pytest
from pyinfra.api import Config
from pyinfra.context import ctx_config

from tests.packaging.checkout import (
    DEPENDENCIES,
    LAB,
    ROOT,
    VERSION,
    Environment,
    files,
    packaged,
    run,
)
from tools.lab import Lab

NEEDS_FLEET = "pyinfra_gvisor.rollout.engine"
"""What only the extra of this name makes importable."""

IMPORT_ALL = """
import importlib, sys

for module in sys.argv[1:]:
    importlib.import_module(module)
"""

USERS_DEPLOY = """
from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.runtimes.profiles import Runtime

gvisor.runtimes(version="20260928.0", profiles={"mine": Runtime()}, name="My own step")
"""


def test_the_wheel_adds_one_package_and_its_metadata(wheel: Path, tmp_path: Path) -> None:
    environment = Environment.create(tmp_path / "venv")
    before = _entries(environment)

    environment.pip("install", "--quiet", "--no-index", "--no-deps", wheel)

    metadata = f"pyinfra_gvisor-{VERSION}.dist-info"
    command = "pyinfra-gvisor"
    assert _entries(environment) - before == {"pyinfra_gvisor", metadata, command}
    entry_points = (environment.site_packages / metadata / "entry_points.txt").read_text()
    assert (
        entry_points.strip()
        == f"[console_scripts]\n{command} = pyinfra_gvisor.command.__main__:main"
    )


def test_the_wheel_holds_the_files_of_its_packages_and_no_others(wheel: Path) -> None:
    expected = packaged()

    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if "-info/" not in name}

    assert "pyinfra_gvisor/operations/docker.py" in expected
    assert set(packed) - set(expected) == set()
    assert set(expected) - set(packed) == set()
    assert [
        name for name, path in expected.items() if packed[name] != (ROOT / path).read_bytes()
    ] == []


def test_the_source_distribution_has_the_pages_that_the_readme_names(wheel: Path) -> None:
    [sdist] = wheel.parent.glob("*.tar.gz")
    pages = {str(path) for path in files("docs", "examples", "CONTRIBUTING.md", "SECURITY.md")}

    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}

    assert "docs/getting-started.md" in pages
    assert pages - packed == set()


def test_the_declared_dependencies_are_enough_for_every_module(
    wheel: Path, installed: Environment, tmp_path: Path
) -> None:
    modules = [name for name in _modules(wheel) if name != NEEDS_FLEET]

    problems = installed.pip("check")
    run(installed.python, "-c", IMPORT_ALL, *modules, cwd=tmp_path)

    assert "No broken requirements" in problems
    assert "pyinfra_gvisor.operations.docker" in modules


def test_the_tools_of_a_clone_are_in_no_distribution(wheel: Path) -> None:
    [sdist] = wheel.parent.glob("*.tar.gz")

    with tarfile.open(sdist) as archive, zipfile.ZipFile(wheel) as packed:
        names = {name.partition("/")[2] for name in archive.getnames()} | {*packed.namelist()}

    assert "pyinfra_gvisor/operations/docker.py" in names
    assert sorted(name for name in names if "lab" in name.split("/") or "tools" in name) == []


def test_the_lab_needs_its_extra_and_no_more(clone: Path, tmp_path: Path) -> None:
    environment = Environment.create(tmp_path / "venv", [*DEPENDENCIES, *LAB])
    modules = [
        ".".join(path.with_suffix("").parts) for path in files("tools") if path.suffix == ".py"
    ]

    run(environment.python, "-c", IMPORT_ALL, *modules, cwd=clone)

    assert "tools.lab.fleet" in modules


def test_the_installed_package_looks_nowhere_but_in_itself(
    installed: Environment, tmp_path: Path
) -> None:
    show = "import pyinfra_gvisor; print(*pyinfra_gvisor.__path__)"

    paths = run(installed.python, "-c", show, cwd=tmp_path).split()

    assert paths == [str(installed.site_packages / "pyinfra_gvisor")]


def test_a_users_own_deploy_runs_from_the_wheel(installed: Environment, tmp_path: Path) -> None:
    (tmp_path / "deploy.py").write_text(USERS_DEPLOY)

    output = run(installed.python, "-m", "pyinfra", "@local", "deploy.py", "--dry", cwd=tmp_path)

    assert "My own step" in output
    assert "write /opt/gvisor/runtimes/mine-20260928.0-" in output


def test_a_new_fleet_runs_from_the_wheel(installed: Environment, tmp_path: Path) -> None:
    command = (installed.python, "-m", "pyinfra_gvisor.command")

    run(*command, "init", "run-1.example.com", cwd=tmp_path)
    local = run(*command, "plan", "--inventory", "inventories/local.py", cwd=tmp_path, expect=1)

    assert "$ pyinfra inventories/local.py deploys/gvisor.py --dry --diff" in local
    assert "gVisor" in run(*command, "--help", cwd=tmp_path)


def test_an_editable_install_imports_the_checkout_and_nothing_beside_the_package(
    clone: Path, tmp_path: Path
) -> None:
    """A fleet may have a folder ``tools`` or ``operations`` of its own."""
    environment = Environment.create(tmp_path / "venv", [*DEPENDENCIES, "setuptools"])
    show = (
        "import pyinfra_gvisor.operations.docker as m, importlib.util as u;"
        " print(m.__file__, [name for name in ('tools', 'operations') if u.find_spec(name)])"
    )

    environment.pip(
        "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "-e", clone
    )

    file, others = run(environment.python, "-c", show, cwd=tmp_path).split()
    assert (Path(file).resolve(), others) == (clone / "operations/docker.py", "[]")


@pytest.mark.node
def test_an_uninstalled_clone_shows_what_it_would_do_to_the_lab(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GVISOR_LAB_NODES", "1")
    monkeypatch.setenv("GVISOR_LAB_NAME", "gvisor-test-clone")
    environment = Environment.create(tmp_path / "venv", [*DEPENDENCIES, *LAB])
    dry_run = ("-m", "pyinfra", "inventories/lab.py", "deploys/gvisor.py", "--dry")

    try:
        output = run(environment.python, *dry_run, cwd=clone)
    finally:
        Lab("gvisor-test-clone").down()

    assert "gvisor-test-clone-1" in output
    assert "Apply daemon.json" in output


def test_a_clone_asks_for_the_pyinfra_that_the_wheel_requires() -> None:
    with ctx_config.use(Config()):
        runpy.run_path(str(ROOT / "config.py"))

        required = pyinfra.config.REQUIRE_PYINFRA_VERSION

    assert f"pyinfra{required}" in DEPENDENCIES


def _modules(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name[:-3] for name in archive.namelist() if name.endswith(".py")]
    modules = [name.replace("/", ".").removesuffix(".__init__") for name in names]
    return [name for name in modules if not name.endswith(".__main__")]


def _entries(environment: Environment) -> set[str]:
    places = (environment.site_packages, environment.path, environment.path / "bin")
    return {entry.name for place in places for entry in place.iterdir()}
