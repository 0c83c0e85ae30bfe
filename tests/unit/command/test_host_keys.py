"""A fleet's own known_hosts has the keys that ssh knows, and no other."""

import os
import subprocess
from pathlib import Path

import pytest
from paramiko import HostKeys

from pyinfra_gvisor.command.__main__ import main
from pyinfra_gvisor.command.controller import controller_lines
from pyinfra_gvisor.command.host_keys import TOP, hashed_lines, host_keys
from tests.arguments import Patch, Printed

KEYS = ("one", "two", "three")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Public keys by name, as lines of known_hosts have them."""
    directory = tmp_path_factory.mktemp("keys")
    made = {}
    for name in KEYS:
        path = directory / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        made[name] = " ".join(path.with_suffix(".pub").read_text().split()[:2])
    return made


@pytest.fixture
def known(tmp_path: Path, monkeypatch: Patch) -> Path:
    """The known_hosts of a user who calls one host by another name, and no file of the system."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / "bin").mkdir()
    path = home / ".ssh/known_hosts"
    config = home / ".ssh/config"
    config.write_text(
        "Host shop\n HostName run-1.example.com\n Port 2222\n"
        f"Host *\n UserKnownHostsFile {path} {path}2\n GlobalKnownHostsFile none\n"
    )
    # OpenSSH takes the home from passwd(5), whatever HOME is.
    program = home / "bin/ssh"
    program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {config} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(home))
    return path


def write(path: Path, *lines: str, hashed: bool = False) -> None:
    """Write a known_hosts file."""
    path.write_text("".join(f"{line}\n" for line in lines))
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
        path.with_name(f"{path.name}.old").unlink()


def test_a_hashed_name_is_in_plain_then(known: Path, keys: dict[str, str], tmp_path: Path) -> None:
    write(
        known,
        f"192.0.2.7 {keys['one']}",
        f"[run-1.example.com]:2222 {keys['two']}",
        f"other.example.com {keys['three']}",
        hashed=True,
    )
    assert hashed_lines(known) == 3

    found = host_keys([("a", {"ssh_hostname": "192.0.2.7"}), ("shop", {}), ("new", {})])

    assert found.text == (
        f"{TOP}# from {known}:1\n192.0.2.7 {keys['one']}\n"
        f"# from {known}:2\n[run-1.example.com]:2222 {keys['two']}\n"
    )
    assert found.unknown == ("new",)
    written = tmp_path / "known_hosts"
    written.write_text(found.text)
    read = HostKeys(str(written))  # as pyinfra does
    for name, key in (("192.0.2.7", "one"), ("[run-1.example.com]:2222", "two")):
        (looked_up,) = read.lookup(name).values()
        assert looked_up.get_base64() == keys[key].split()[1]


def test_a_port_of_the_inventory_is_part_of_the_name(known: Path, keys: dict[str, str]) -> None:
    write(known, f"run-2 {keys['one']}", f"[run-2]:22022 {keys['two']}")

    found = host_keys([("run-2", {"ssh_port": 22022})])

    assert found.text == f"{TOP}# from {known}:2\n[run-2]:22022 {keys['two']}\n"


def test_a_revoked_key_is_left_and_one_of_two_files_is_there_once(
    known: Path, keys: dict[str, str]
) -> None:
    write(known, f"run-1 {keys['one']}", f"run-1 {keys['two']}", f"@cert-authority * {keys['one']}")
    write(known.with_name("known_hosts2"), f"run-1 {keys['two']}", f"@revoked * {keys['one']}")

    found = host_keys([("run-1", {})])

    assert found.text == f"{TOP}# from {known}:2\nrun-1 {keys['two']}\n"


def test_without_ssh_no_key_is_known(known: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("PATH", str(known.parent))

    assert host_keys([("run-1", {})]) == (TOP, ("run-1",))


@pytest.mark.parametrize("name", ["*", "!run-1", "a,b", "|1|x"])
def test_a_pattern_is_no_name(known: Path, keys: dict[str, str], name: str) -> None:
    write(known, f"{name} {keys['one']}")

    assert host_keys([(name, {})]) == (TOP, (name,))


def test_a_new_fleet_has_the_file_and_says_what_it_lacks(
    known: Path, keys: dict[str, str], tmp_path: Path, capsys: Printed
) -> None:
    write(known, f"run-1 {keys['one']}", hashed=True)

    assert main(["init", "--directory", str(tmp_path / "fleet"), "run-1", "run-2"]) == 0

    assert f"run-1 {keys['one']}" in (tmp_path / "fleet/known_hosts").read_text()
    assert "No host key is known of run-2: the first run accepts any." in capsys.readouterr().out


def test_doctor_says_that_many_names_are_hashed(
    known: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.chdir(tmp_path)
    known.write_text("|1|salt|hash ssh-ed25519 AAAA\n" * 101)

    assert f"{known}: 101 names are hashed" in "\n".join(controller_lines())

    (tmp_path / "known_hosts").write_text(TOP)
    assert "hashed" not in "\n".join(controller_lines())
