"""A reader of the docs: types each command of a page, in order, from an empty directory."""

import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from pyinfra_gvisor.releases.lock import DEFAULT
from tests.documented import START, Block, Command, all_commands, blocks, commands
from tests.node.archives import current_archive, release_archive
from tests.node.audits import sh
from tests.packaging.checkout import LEAKS, PYPROJECT, built_wheel, copy_to
from tools.lab import LabNode, lab_arch
from tools.lab.cache import Cache

LATER = "20261005.0"
"""The release that the pages upgrade to, from ``DEFAULT``."""

CARRIED = "/srv/gvisor"
"""Where the page on air-gapped nodes has releases on the controller."""

BOOTSTRAP = "/root/gvisor/bootstrap.sh"
TIMEOUT_S = 900
INSTALLING = 2
"""With how many commands the first page begins until the package is installed."""

_HOST = """\
Host {name}
    HostName 127.0.0.1
    Port {port}
    User debian
    IdentityFile {key}
    UserKnownHostsFile {known_hosts}
    StrictHostKeyChecking yes
"""
_STATE = 'code=$?; pwd > "$STATE"; printf "%s\\n" "$PATH" >> "$STATE"; exit "$code"'
# What the pages call alpine: programs of the node itself. No node gets at a registry.
_IMAGE = """
set -eu
mkdir -p /root/tree
for program in /usr/bin/dmesg /usr/bin/df; do
    cp --parents -L $program $(ldd $program | grep -o '/[^ ]*') /root/tree
done
tar -C /root/tree -c . | docker import - alpine
rm -rf /root/tree
"""
_PYTHON = """
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y install python3-venv > /dev/null
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended, and all that it printed."""

    command: Command
    code: int
    text: str


@dataclass(frozen=True)
class Shop:
    """
    What a reader gets from the internet: packages, and releases of gVisor.

    The releases are the lab's build, which calls itself as they are called. The package is built
    here; its lock has their sums, so that no page has to be changed.
    """

    wheels: Path
    bucket: Path
    sums: Mapping[str, str]
    clone: Path
    """The source, with the lock of the package."""

    @classmethod
    def open(cls, directory: Path) -> "Shop":
        """Build the package and fetch what it requires, for this Python and for a node's."""
        arch, bucket, sums = lab_arch(os.environ), directory / "bucket", {}
        for release in (DEFAULT, LATER):
            home = bucket / release / arch
            home.mkdir(parents=True)
            path = release_archive(current_archive(), release, home)
            content = path.rename(home / "gvisor.tar.bz2").read_bytes()
            sums[release] = hashlib.sha512(content).hexdigest()
        source = copy_to(directory / "source")
        lock = source / "pyinfra_gvisor/releases/lock.json"
        known = json.loads(lock.read_text())
        known["releases"][DEFAULT]["sha512"][arch]["gvisor.tar.bz2"] = sums[DEFAULT]
        lock.write_text(json.dumps(known))
        wheel = built_wheel(source, directory / "dist")
        return cls(_wheelhouse(wheel, directory / "wheels"), bucket, sums, source)


def _wheelhouse(wheel: Path, into: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(into)]
    # The editable install of a clone builds with setuptools.
    subprocess.run(
        [*pip, f"{wheel}[fleet,lab]", *PYPROJECT["build-system"]["requires"]], check=True
    )
    node = ["--python-version", "3.13", "--only-binary=:all:"]
    for platform in ("manylinux_2_28_x86_64", "manylinux2014_x86_64"):
        node += ["--platform", platform]
    subprocess.run([*pip, *node, str(wheel)], check=True)
    return into


@dataclass
class Reader:
    """Somebody who follows the pages one after the other, and how far they are."""

    shop: Shop
    home: Path
    nodes: Mapping[str, LabNode]
    lab: str
    skipped: Mapping[tuple[str, str], str]
    ran: list[Ran] = field(default_factory=list)
    pages: list[Path] = field(default_factory=list)
    here: Path = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        ssh, programs = self.home / ".ssh", self.home / "bin"
        for directory in (ssh, programs, self.home / "carried"):
            directory.mkdir(parents=True)
        hosts = (
            _HOST.format(name=name, port=node.ssh_port, key=node.key, known_hosts=node.known_hosts)
            for name, node in self.nodes.items()
        )
        (ssh / "config").write_text("".join(hosts))
        # OpenSSH asks the system for its user's home, not the environment.
        (programs / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {ssh}/config "$@"\n')
        (programs / "ssh").chmod(0o755)
        self.here = self.home
        self.path = f"{programs}:{os.environ['PATH']}"

    @property
    def fleet(self) -> Path:
        """The directory that the first page begins."""
        return self.home / "fleet"

    def install(self) -> None:
        """Type the commands of the first page that install the package."""
        for command in all_commands(START)[:INSTALLING]:
            self._type(command)

    def somewhere_else(self, home: Path, nodes: Mapping[str, LabNode]) -> "Reader":
        """Return somebody with what is installed here, an empty directory, and these nodes."""
        other = replace(self, home=home, nodes=nodes, ran=self.ran[:INSTALLING], pages=[])
        other.path = f"{home}/bin:{self.path}"
        return other

    def follow(self, pages: list[Path]) -> list[Ran]:
        """Follow the pages that were not followed yet; what the last one's commands said."""
        for page in pages:
            if page in self.pages:
                continue
            self.pages.append(page)
            if self.fleet.exists():
                self.here = self.fleet
            for block in blocks(page):
                self._do(block)
        return [ran for ran in self.ran if ran.command.block.page == pages[-1]]

    def _do(self, block: Block) -> None:
        if block.file:
            self._write(block)
        elif block.text.startswith("#cloud-config"):
            self._boot(block, next(node for name, node in self.nodes.items() if "run-3" in name))
        if block.text.startswith("pip install -e "):
            self.here = self.shop.clone
        done = [ran.command for ran in self.ran]
        for command in commands(block):
            if not skips(command, self.skipped) and command not in done:
                self._type(command)

    def repeat(self, command: Command) -> None:
        """Type a command of the first page's fleet once more."""
        self.here = self.fleet
        self._type(command)

    def type(self, text: str) -> Ran:
        """Type a command that is in no page, which has to succeed."""
        block = Block(START, 0, "", "shell", text)
        self._type(Command(block, 0, text, 0))
        return self.ran[-1]

    def _type(self, command: Command) -> None:
        state = self.home / "state"
        text = command.text.replace(CARRIED, str(self.home / "carried"))
        ran = _at_a_terminal(text, self.here, self._environment(state))
        self.ran.append(Ran(command, ran.returncode, ran.stdout))
        assert ran.returncode == command.code, (
            f"{command.place}: {command.text}: exit {ran.returncode}\n{ran.stdout[-6000:]}"
        )
        here, self.path = state.read_text().splitlines()
        self.here = Path(here)
        words = command.text.split()
        if "init" in words:
            self._supply(self.here / words[words.index("--directory") + 1])

    def _environment(self, state: Path) -> dict[str, str]:
        own = {key: text for key, text in os.environ.items() if key not in LEAKS}
        return own | {
            "HOME": str(self.home),
            "PATH": self.path,
            "STATE": str(state),
            "XDG_CACHE_HOME": str(Cache.of(os.environ).root.parent),  # what the lab has built
            "GVISOR_LAB_NAME": self.lab,
            "GVISOR_LAB_NODES": "1",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.shop.wheels),
            "PIP_NO_COMPILE": "0",  # that is yes: Python compiles what it loads
            "PYINFRA_PROGRESS": "off",
        }

    def _supply(self, fleet: Path) -> None:
        """Have the fleet that was just begun take its releases from here, not from the internet."""
        with (fleet / "group_data/all.py").open("a") as file:
            file.write(f'\ngvisor_source = "{self.shop.bucket}"\n')

    def _write(self, block: Block) -> None:
        """Add a page's settings to the file that it names: of two assignments the later counts."""
        text = block.text.replace('"…"', f'"{self.shop.sums[LATER]}"')
        text = text.replace(CARRIED, str(self.home / "carried"))
        with (self.fleet / str(block.file)).open("a") as file:
            file.write(f"\n{text}")

    def carry(self) -> None:
        """Bring the release to where curl would have put it."""
        home = Path(DEFAULT, lab_arch(os.environ))
        target = self.home / "carried" / home / "gvisor.tar.bz2"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((self.shop.bucket / home / "gvisor.tar.bz2").read_bytes())

    def _boot(self, block: Block, node: LabNode) -> None:
        """Do on a node what cloud-init does at its first boot with this user data."""
        wanted = yaml.safe_load(block.text)
        bundle = io.BytesIO()
        with tarfile.open(fileobj=bundle, mode="w") as archive:
            archive.add(self.shop.wheels, "srv/wheels")
            archive.add(self.shop.bucket / DEFAULT, f"srv/gvisor/{DEFAULT}")
        node.put("/srv/bundle.tar", bundle.getvalue())
        sh(node, f"tar -C / -xf /srv/bundle.tar\n{_PYTHON}")
        for file in wanted["write_files"]:
            text = file["content"]
            if file["path"].endswith("settings.py"):
                text += f'gvisor_source = "{CARRIED}"\n'
            node.put(file["path"], text.encode())
        [script] = wanted["runcmd"]
        pip = "export PIP_NO_INDEX=1 PIP_NO_COMPILE=0 PIP_FIND_LINKS=/srv/wheels"
        ran = node.exec("sh", "-c", f"{pip} PYINFRA_PROGRESS=off; {shlex.join(script)}")
        assert ran.code == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        assert "gVisor works on 1 of 1 host" in ran.stderr + ran.stdout


def _at_a_terminal(
    text: str, directory: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command with a terminal as its stdin, at which somebody says yes."""
    keyboard, stdin = os.openpty()
    os.write(keyboard, b"y\ny\n")  # where a host has failed, it asks a second time
    try:
        return subprocess.run(
            ["bash", "-c", f"{text}\n{_STATE}"],
            cwd=directory,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        os.close(stdin)
        os.close(keyboard)


def skips(command: Command, reasons: Mapping[tuple[str, str], str]) -> bool:
    """Return True if there is a reason not to run it; a text may be cut, with ``…`` at its end."""
    return any(
        page == command.block.page.stem
        and (text == command.text or (text[-1] == "…" and command.text.startswith(text[:-1])))
        for page, text in reasons
    )


def have_image(node: LabNode) -> None:
    """Have an image on the node that is called as the one in the pages."""
    sh(node, _IMAGE)


def typed(pages: list[Path]) -> list[Command]:
    """Return every command of the pages, in order."""
    return [command for page in pages for command in all_commands(page)]
