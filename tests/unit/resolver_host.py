"""A node on which the resolver is put and taken off: directories, and a systemd that tells."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pyinfra_gvisor.base.scripts import encoded, script
from tests.unit.shells import replaced, run, stub, toolbox

HOST = {"operation": "resolver.resolver", "host": "run-1"}
UNIT = "pyinfra-gvisor-resolver"
METRICS = "pyinfra_gvisor_resolver.prom"
CONTENT = "$(touch /nonexistent/x) 'quoted' \u00fc\n"

# A unit is a file below active, with its state; one that is not there is not loaded. What a unit
# was when it was started is kept beside it, as what runs is.
SYSTEMCTL = """
echo "$*" >> {0}/asked
for last; do :; done
state=$(cat "{0}/active/$last" 2> /dev/null)
if [ "$1" = "$(cat {0}/breaks 2> /dev/null)" ]; then echo "no $1" >&2; exit 1; fi
up() {{ echo active > "{0}/active/$1"; cp "{0}/units/$1" "{0}/running/$1"; }}
case "$1" in
    is-active) echo "${{state:-inactive}}"; [ "$state" = active ] ;;
    is-failed) [ "$state" = failed ] ;;
    stop) shift; for unit; do rm -f "{0}/active/$unit" "{0}/running/$unit"; done ;;
    start) [ "$state" = active ] || up "$last" ;;
    restart) up "$last"; cp {0}/gvisor/resolver/__main__.py {0}/running/ ;;
    reset-failed) rm "{0}/active/$last" ;;
    enable) mkdir -p {0}/units/sockets.target.wants
        ln -sf "../$last" {0}/units/sockets.target.wants/ ;;
    daemon-reload) ;;
    *) exit 64 ;;
esac
"""

# The addresses of lo are lines of a file.
IP = """
case "$*" in
    "address show dev lo to "*) grep -xF "$6" {0} || : ;;
    "address del "*" dev lo")
        grep -qxF "$3" {0} || exit 2
        grep -vxF "$3" {0} > {0}.new || :
        mv {0}.new {0} ;;
    *) exit 64 ;;
esac
"""


class Host:
    """A node without a resolver."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.program = root / "gvisor" / "resolver"
        self.units = root / "units"
        self.texts = root / "texts"
        self.path = toolbox(root / "bin", "rmdir", "ln")
        for directory in (self.units, self.texts, root / "active", root / "running"):
            directory.mkdir()
        stub(self.path, "systemctl", SYSTEMCTL.format(root))
        self.addresses = root / "addresses"
        self.addresses.write_text("")
        stub(self.path, "ip", IP.format(self.addresses))
        stub(self.path, "journalctl", "printf 'first\\n%s\\n' 'Failed to listen: Address in use'")

    def wanted(
        self, *, socket: str = "1", program: str = CONTENT, text: str = ""
    ) -> dict[str, str]:
        """The files of a resolver; ``text``: the directory of its metrics."""
        option = f" --textfile={text}/{METRICS}" if text else ""
        return {
            f"{self.program}/__main__.py": program,
            f"{self.program}/pyinfra_gvisor/__init__.py": "",
            f"{self.units}/{UNIT}.service": f"ExecStart=python3 x --resolver=1{option}\n",
            f"{self.units}/{UNIT}.socket": f"[Socket]\nBacklog={socket}\n",
        }

    def install(self, *, breaks: str = "", **wanted: str) -> subprocess.CompletedProcess[str]:
        """Put it there; ``breaks``: what systemctl fails at."""
        (self.root / "breaks").write_text(breaks)
        words = [
            word
            for path, text in self.wanted(**wanted).items()
            for word in (path, "644", encoded(text))
        ]
        parts = ("base/put_files", "parts/resolver/metrics", "parts/resolver/install")
        text = script(*parts, **HOST, textfile_dir=wanted.get("text", ""))
        return run(self._here(text), *words, path=self.path)

    def remove(self, *, breaks: str = "") -> subprocess.CompletedProcess[str]:
        """Take it off."""
        (self.root / "breaks").write_text(breaks)
        addresses = {"resolver": "192.0.2.53", "resolver6": "2001:db8::53"}
        text = script(
            "base/put_files", "parts/resolver/metrics", "parts/resolver/remove", **HOST, **addresses
        )
        text = replaced(text, {"/usr/sbin/ip": self.path / "ip"})
        return run(self._here(text), path=self.path)

    def unit(self, kind: str, state: str) -> None:
        """Have a unit in this state."""
        (self.root / "active" / f"{UNIT}.{kind}").write_text(f"{state}\n")

    def states(self) -> dict[str, str]:
        """The state of each unit that systemd knows."""
        return {
            path.name.removeprefix(f"{UNIT}."): path.read_text().strip()
            for path in (self.root / "active").iterdir()
        }

    def running(self) -> dict[str, str]:
        """What runs: units and the program, as they were when they were started."""
        return {path.name: path.read_text() for path in (self.root / "running").iterdir()}

    def told(self) -> list[str]:
        """What systemctl was asked to do since the last time, without the units' common name."""
        path = self.root / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.replace(f"{UNIT}.", "") for line in lines if not line.startswith("is-")]

    def files(self) -> dict[str, str]:
        """Every file there, with its content."""
        return {
            str(path): "link" if path.is_symlink() else path.read_text()
            for top in (self.program.parent, self.units, self.texts)
            for path in sorted(top.rglob("*"))
            if path.is_file() or path.is_symlink()
        }

    @property
    def link(self) -> Path:
        """What starts its sockets at boot."""
        return self.units / "sockets.target.wants" / f"{UNIT}.socket"

    def _here(self, text: str) -> str:
        changes = {"/opt/gvisor/resolver": self.program, "/etc/systemd/system": self.units}
        return replaced(text, changes)
