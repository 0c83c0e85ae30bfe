"""A version is cut by one command, is built the same twice, and can be verified."""

import hashlib
import json
import subprocess
from datetime import date
from pathlib import Path

import pytest
import yaml

from pyinfra_gvisor.base.errors import Problem
from tests.packaging.checkout import ROOT, copy_to, run
from tools.release.cut import cut, git
from tools.release.dist import build, zipapp_tag

DAY = date(2027, 1, 1)
VERSION = "9.0.0"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of this source with a history of its own, in which a version was cut."""
    made = copy_to(tmp_path_factory.mktemp("release") / "source")
    git(made, "init", "--quiet")
    git(made, "config", "user.name", "a")
    git(made, "config", "user.email", "a@example.com")
    changelog = made / "CHANGELOG.md"
    head, place, rest = changelog.read_text().partition("## [Unreleased]\n")
    changelog.write_text(f"{head}{place}\n### Added\n\n- A thing.\n{rest}")
    git(made, "add", "--all")
    git(made, "commit", "--quiet", "-m", "all")
    cut(made, VERSION, DAY)
    return made


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signing key."""
    path = tmp_path_factory.mktemp("key") / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    return path


@pytest.fixture(scope="module")
def built(source: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that is published of the version."""
    into = tmp_path_factory.mktemp("built") / "dist"
    build(source, into, signing_key=key)
    return into


def test_a_version_is_a_commit_a_tag_and_a_part_of_the_changelog(source: Path) -> None:
    changelog = (source / "CHANGELOG.md").read_text()

    assert f'version = "{VERSION}"' in (source / "pyproject.toml").read_text()
    assert f"## [Unreleased]\n\n## [{VERSION}] - {DAY}\n\n### Added\n\n- A thing." in changelog
    assert git(source, "describe", "--exact-match") == f"v{VERSION}"
    assert git(source, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("version", "says"),
    [
        pytest.param("9.0", "not a version", id="two-numbers"),
        pytest.param(VERSION, f"this version exists, got v{VERSION}", id="again"),
        pytest.param("9.1.0", "has nothing to release", id="nothing-new"),
    ],
)
def test_what_cannot_be_cut_is_refused_before_any_change(
    source: Path, version: str, says: str
) -> None:
    before = git(source, "rev-parse", "HEAD")

    with pytest.raises(Problem, match=says):
        cut(source, version, DAY)

    assert (git(source, "rev-parse", "HEAD"), git(source, "status", "--porcelain")) == (before, "")


def test_a_checkout_with_changes_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "new").touch()
    try:
        with pytest.raises(Problem, match="the checkout has changes"):
            cut(source, "9.1.0", DAY)
        with pytest.raises(Problem, match="the checkout has changes"):
            build(source, tmp_path / "dist")
    finally:
        (source / "new").unlink()


def test_another_build_of_the_commit_is_the_same_to_the_byte(
    source: Path, built: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere"
    run("git", "clone", "--quiet", source, other)

    build(other, tmp_path / "dist")

    assert sums(tmp_path / "dist") == sums(built)
    assert {name.rpartition(VERSION)[2] for name in sums(built)} == {
        "-docs.tar.gz", "-py3-none-any.whl", ".cdx.json", ".tar.gz", "SHA256SUMS",
        f"-{zipapp_tag()}.pyz",
    }  # fmt: skip


def test_one_file_has_all_and_starts_pyinfra_too(built: Path, tmp_path: Path) -> None:
    [zipapp] = built.glob("*.pyz")
    given = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SHIV_ROOT": str(tmp_path / "shiv")}

    def ours(*words: str, directory: Path = tmp_path) -> str:
        command = ["/usr/bin/python3", "-I", zipapp, *words]
        return subprocess.run(
            command, cwd=directory, env=given, capture_output=True, text=True, check=True
        ).stdout

    version = ours("--version")
    ours("init", "--directory", "fleet", "a.example.com")
    checked = ours("check", directory=tmp_path / "fleet")

    assert VERSION in version
    assert "nothing to correct for 1 host" in checked


def sums(directory: Path) -> dict[str, str]:
    """The checksum of each file, but for signatures."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if path.suffix != ".sig"
    }


def test_the_sbom_names_the_version_and_what_it_requires(built: Path) -> None:
    document = json.loads(next(built.glob("*.cdx.json")).read_text())

    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["version"] == VERSION
    names = {item["name"].lower(): item["version"] for item in document["components"]}
    assert {"pyinfra", "pydantic", "click", "jinja2", "pyyaml"} <= {*names}
    assert "pytest" not in names


def test_what_was_published_is_verified_and_a_changed_byte_is_found(
    built: Path, key: Path, tmp_path: Path
) -> None:
    signers = tmp_path / "allowed_signers"
    signers.write_text(f"releases {key.with_suffix('.pub').read_text()}")
    verify = ("ssh-keygen", "-Y", "verify", "-f", signers, "-I", "releases", "-n", "file")
    content = (built / "SHA256SUMS").read_bytes()

    good, bad = (
        subprocess.run(
            (*verify, "-s", built / "SHA256SUMS.sig"), input=text, capture_output=True, check=False
        ).returncode
        for text in (content, content.replace(b"0", b"1", 1))
    )

    assert (good, bad != 0) == (0, True)
    run("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=built)


FORGE = sorted((ROOT / ".github").rglob("*.yml"))


@pytest.mark.parametrize("path", FORGE, ids=lambda path: path.name)
def test_a_file_for_the_forge_is_yaml_and_keeps_no_secret(path: Path) -> None:
    text = path.read_text()

    assert yaml.safe_load(text)
    assert "secrets." not in text
