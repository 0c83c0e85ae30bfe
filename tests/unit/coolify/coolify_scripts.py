"""A control host of files and stub programs, and the scripts of Coolify's run on it."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.coolify import files
from pyinfra_gvisor.coolify.control_host import STATE_SCRIPTS, ControlHost, parse_control_host
from tests.unit.coolify.coolify_answers import HONOURED, OURS
from tests.unit.shells import replaced, run, stub, systemctl, toolbox

Ran = subprocess.CompletedProcess[str]

SECRET = "hunter2"  # noqa: S105 - a made-up one to look for
WORKS = f"probe {HONOURED}"
IDLE = NodeFile(files.ENTRY, "644", files.idle_entry_text())
RUN_DIR = "/run/pyinfra-gvisor"
UNITS = "/etc/systemd/system"
DIRECTORIES = (files.SOURCE_DIR, files.KEEP_DIR, UNITS, RUN_DIR, str(Path(files.REDEPLOYS).parent))

# Its answers lie in files. A template gets what it names; what is not named here has everything.
DOCKER = """
there={stubs}
case "$*" in
    version*) . "$there/version" ;;
    'ps -aq --no-trunc --filter name=^/coolify$') if [ -e "$there/image" ]; then echo 0123; fi ;;
    'container inspect --format '*' coolify')
        if [ -e "$there/gone" ]; then echo 'No such container: coolify' >&2; exit 1; fi
        printf '%s\\n' "$4" | sed \
            -e "s|{{{{json .Config.Image}}}}|$(cat "$there/image")|" \
            -e "s|{{{{json .State.Running}}}}|$(cat "$there/running")|" \
            -e 's|{{{{json .State.StartedAt}}}}|"2026-10-01T10:00:00Z"|' \
            -e "s|{{{{json .Mounts}}}}|$(cat "$there/mounts")|" \
            -e 's|{{{{[^}}]*}}}}|{{"Env": ["DB_PASSWORD={secret}"]}}|g'
        ;;
    'exec -i coolify php -- '*)
        cat > "$there/sent.$6"
        echo "$6" >> "$there/verbs"
        . "$there/php.$6"
        ;;
    'compose version') [ -e "$there/compose" ] ;;
    'compose '*)
        echo "$LATEST_IMAGE $*" >> "$there/composed"
        for word; do
            case "$word" in /*) [ -e "$word" ] || {{ echo "open $word" >&2; exit 14; }} ;; esac
        done
        . "$there/compose"
        ;;
    *) echo "docker: what is $*" >&2; exit 125 ;;
esac
"""


class Factory:
    """A control host below a directory, and what its docker and systemctl were asked for."""

    def __init__(self, root: Path) -> None:
        self.top = root / "host"
        self.stubs = root / "stubs"
        self.path = root / "bin"  # programs of the test's own, in front of the others
        self.tools = _tools(root.parent)
        self.patcher = files.patcher_text()
        self.source = self.at(files.SOURCE_DIR)
        for directory in (self.stubs, self.path, self.source, self.at(UNITS)):
            directory.mkdir(parents=True)
        stub(self.path, "docker", DOCKER.format(stubs=self.stubs, secret=SECRET))
        self.says("version", "echo 26.1.5")
        self.systemctl()

    def at(self, path: str) -> Path:
        """Where a path of a control host lies here."""
        return self.top / path.removeprefix("/")

    @property
    def compose(self) -> Path:
        """docker-compose.custom.yml."""
        return self.at(files.COMPOSE)

    def says(self, what: str, text: str) -> None:
        """
        What docker does, as shell.

        + what: it is asked for: ``version``, ``compose``, ``php.`` and a verb of the patcher's
        """
        (self.stubs / what).write_text(f"{text}\n")

    def php(self, verb: str, *lines: str, code: int = 0) -> None:
        """What the patcher prints to ``verb``, a line each, and how it ends."""
        self.says(f"php.{verb}", "".join(f"echo '{line}'\n" for line in lines) + f"exit {code}")

    def container(self, *, running: bool = True, mounts: Sequence[str] = ()) -> None:
        """Have a container called coolify."""
        pairs = [mount.split(":")[:2] for mount in mounts]
        listed = [{"Source": source, "Destination": target} for source, target in pairs]
        self.says("image", '"ghcr.io/coollabsio/coolify:4.3.11"')
        self.says("running", json.dumps(running))
        self.says("mounts", json.dumps(listed))

    def systemctl(self, state: str = "inactive", does: str = "") -> None:
        """A systemctl to which everything is in this state, and which does something besides."""
        systemctl(self.path, self.stubs / "systemctl", state, does)

    def told(self, what: str) -> list[str]:
        """What was asked: ``verbs``, ``composed``, ``systemctl`` (questions are left out)."""
        log = self.stubs / what
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if not line.startswith("is-")]

    def state(self) -> ControlHost:
        """What the host says it is."""
        return parse_control_host(self.look().stdout.splitlines())

    def look(self) -> Ran:
        """The same, as it is printed."""
        text = script(
            *STATE_SCRIPTS,
            patcher_b64=encoded(self.patcher),
            files="\n".join(files.paths()),
            compose=files.COMPOSE,
            timer=files.TIMER,
            redeploys=files.REDEPLOYS,
        )
        return self.run(text)

    def option(self, verb: str = "apply", changes: dict[str, str] | None = None) -> Ran:
        """Have the option in force, or no longer; ``changes`` are made to the script."""
        text = script(
            *("coolify/container", "coolify/option"),
            host="factory",
            verb=verb,
            wait_s=30,
            patcher_b64=encoded(self.patcher),
        )
        return self.run(replaced(text, changes or {}))

    def keep(self, changes: dict[str, str] | None = None) -> Ran:
        """One look of the timer's, by the program as it is put there."""
        text = next(item.text for item in files.kept_files() if item.path == files.KEEPER)
        return self.run(replaced(text, changes or {}))

    def install(self, was: str | None, text: str | None) -> Ran:
        """Our files; the compose file was ``was`` when it was read, and is to be ``text``."""
        return self._persist("install", OURS, was, text)

    def remove(self, was: str | None, text: str | None, *, mounted: bool = False) -> Ran:
        """Take them off; ``mounted``: the container needs them to start."""
        return self._persist("remove", (IDLE,), was, text, mounted=mounted)

    def _persist(
        self,
        action: str,
        sent: Sequence[NodeFile],
        was: str | None,
        text: str | None,
        *,
        mounted: bool = False,
    ) -> Ran:
        whole = script(
            *("base/put_files", "coolify/compose", f"coolify/{action}"),
            operation="coolify.persistence",
            host="factory",
            unit=files.NAME,
            keep_dir=files.KEEP_DIR,
            mounted_dir=files.MOUNTED_DIR,
            source_dir=files.SOURCE_DIR,
            keeps_mounts="yes" if mounted else "no",
            compose=files.COMPOSE,
            compose_sum="-" if was is None else NodeFile(files.COMPOSE, "", was).sha256,
            compose_b64="keep" if was == text else encoded(text),
        )
        return self.run(whole, *(word for item in sent for word in item.words))

    def run(self, text: str, *words: str) -> Ran:
        """The script on this host's paths."""
        first, *others = (self._here(part) for part in (text, *words))
        return run(first, *others, path=Path(f"{self.path}:{self.tools}"))

    def _here(self, text: str) -> str:
        for directory in DIRECTORIES:
            text = text.replace(directory, str(self.at(directory)))
        return text

    def tree(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file and directory: inode, time of its last change, and content."""
        return {
            f"/{path.relative_to(self.top)}": (
                path.lstat().st_ino,
                path.lstat().st_mtime_ns,
                path.read_bytes() if path.is_file() else b"",
            )
            for path in sorted(self.top.rglob("*"))
        }

    def files(self) -> set[str]:
        """Every file, by the path that it has on a control host."""
        return {path for path in self.tree() if self.at(path).is_file()}

    @property
    def lock(self) -> Path:
        """What somebody who is at it holds."""
        path = self.at(RUN_DIR) / "coolify.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _tools(session: Path) -> Path:
    """A directory for PATH, made once for all tests: it takes longer than most of them."""
    there = session / "coolify-tools"
    return there if there.exists() else toolbox(there, "rmdir")
