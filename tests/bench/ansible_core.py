"""Install ansible-core into its own virtual environment, apart from our dependencies."""

import hashlib
import json
import runpy
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from pyinfra_gvisor.planning.wanted import wanted_daemon_json
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings, load_settings
from tests.bench.measure import BenchError, tell
from tests.bench.node import runsc_settings
from tools.lab import LabNode

REQUIREMENT = "ansible-core>=2.19,<3"

_STAMP = "complete"
_VERSION = "from importlib.metadata import version; print(version('ansible-core'))"


def ensure_ansible(parent: Path) -> Path:
    """Install ansible-core below ``parent`` if missing; return the directory of its programs."""
    digest = hashlib.sha256(f"{REQUIREMENT} {sys.version}".encode()).hexdigest()[:12]
    path = parent / f"ansible-{digest}"
    if not (path / _STAMP).is_file():
        tell(f"installing {REQUIREMENT} with pip into {path}")
        venv.create(path, with_pip=True, clear=True, symlinks=True)
        pip = [str(path / "bin/python"), "-m", "pip", "install", "--quiet", REQUIREMENT]
        if subprocess.run(pip, stdout=sys.stderr, check=False).returncode != 0:
            raise BenchError(f"pip could not install {REQUIREMENT}")
        (path / _STAMP).touch()
    return path / "bin"


def ansible_version(programs: Path) -> str:
    """Return the installed version."""
    command = [str(programs / "python"), "-c", _VERSION]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def write_inventory(path: Path, node: LabNode, hosts: int, *, group_data: Path) -> None:
    """Write an inventory: the node under ``hosts`` names, with a group's settings as variables."""
    options = f"-o HostName=127.0.0.1 -o UserKnownHostsFile={node.known_hosts}"
    variables = {
        # A different ansible_host for each: Ansible shares one connection between equal ones.
        "ansible_host": "{{ inventory_hostname }}",
        "ansible_port": node.ssh_port,
        "ansible_user": node.host_data()["ssh_user"],
        "ansible_ssh_private_key_file": str(node.key),
        "ansible_ssh_common_args": f"{options} -o HostKeyAlias=[127.0.0.1]:{node.ssh_port}",
        **_variables(_settings(group_data)),
    }
    names = {f"bench-{number}": None for number in range(1, hosts + 1)}
    path.write_text(json.dumps({"all": {"hosts": names, "vars": variables}}), encoding="utf-8")


def _settings(group_data: Path) -> Settings:
    settings, problems = load_settings({**runpy.run_path(str(group_data)), **runsc_settings()})
    if settings is None:
        raise BenchError(f"{group_data} is not valid", got=problems)
    return settings


def _variables(settings: Settings) -> dict[str, Any]:
    wrapper = wrappers(settings.release, settings.runtimes)[0]
    return {
        "gvisor_release": settings.release,
        "gvisor_daemon_json": wanted_daemon_json(settings),
        "gvisor_if_absent": settings.daemon_json_defaults(),
        "gvisor_wrapper": {"path": wrapper.path, "text": wrapper.text},
    }
