"""A node on which the firewall's scripts run: directories, and an nft and a systemd that tell."""

import subprocess
from pathlib import Path

from pyinfra_gvisor.base.scripts import packed, script
from tests.unit.shells import replaced, run, stub, toolbox

NAME = "pyinfra-gvisor-egress"
HOST = {"operation": "egress.rules", "host": "run-1"}
TIMER = f"{NAME}-revert.timer"
UNIT = f"{NAME}.service"
UNITS = ("docker", "containerd", "buildkit")
KEPT = {
    "gvisor/egress/load.sh": "755",
    "gvisor/egress/members.sh": "755",
    "gvisor/egress/revert.sh": "755",
    "gvisor/egress/rules.nft": "644",
    f"units/{UNIT}": "644",
    f"units/sysinit.target.wants/{UNIT}": "link",
}

# The kernel's table is a file, which holds the text that was loaded last.
NFT = """
echo "nft $*" >> {0}/asked
case "$*" in
    "-c -f "*)
        [ ! -e {0}/refuses-check ] || {{ printf 'bad rule\\nsecond line\\n' >&2; exit 1; }} ;;
    "-f "*)
        if [ "$2" = - ]; then cat > {0}/given; else cp "$2" {0}/given; fi
        if [ -e {0}/refuses-load ] && grep -q "$(cat {0}/refuses-load)" {0}/given; then
            echo 'cannot allocate memory' >&2; exit 1
        fi
        grep 'element' {0}/given > {0}/members
        text=$(grep -v element {0}/given)
        case "$text" in '' | 'flush set '*) ;; *) printf %s "$text" > {0}/table ;; esac ;;
    "list set inet pyinfra_gvisor "*) cat "{0}/set-$5" ;;
    *"list table inet pyinfra_gvisor") [ -e {0}/table ] && cat {0}/table ;;
    "delete table inet pyinfra_gvisor") rm {0}/table ;;
    *) exit 64 ;;
esac
"""
# A unit is a file below active, with its state; one that is not there is not loaded.
SYSTEMCTL = """
echo "systemctl $*" >> {0}/asked
for last; do :; done
state=$(cat "{0}/active/$last" 2> /dev/null)
case "$1" in
    is-active) echo "${{state:-inactive}}"; [ "$state" = active ] ;;
    is-failed) [ "$state" = failed ] ;;
    stop) [ -n "$state" ] || exit 5; rm "{0}/active/$last" ;;
    start) echo active > "{0}/active/$last" ;;
    disable) rm -f {0}/units/sysinit.target.wants/* "{0}/active/$last" ;;
    reset-failed) rm "{0}/active/$last" ;;
    enable)
        [ ! -e {0}/refuses-enable ] || {{ echo 'read-only file system' >&2; exit 1; }}
        mkdir -p {0}/units/sysinit.target.wants
        ln -sf "../$last" {0}/units/sysinit.target.wants/ ;;
    show) cat {0}/groups 2> /dev/null || : ;;
    daemon-reload | reload) ;;
    *) exit 64 ;;
esac
"""
SYSTEMD_RUN = """
echo "systemd-run $*" >> {0}/asked
[ ! -e {0}/no-timers ] || {{ echo 'no such bus' >&2; exit 1; }}
echo active > {0}/active/pyinfra-gvisor-egress-revert.timer
"""


class Host:
    """A node without a firewall."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.egress = root / "gvisor" / "egress"
        self.candidate = self.egress / "candidate.nft"
        self.rules = self.egress / "rules.nft"
        self.units = root / "units"
        self.table = root / "table"
        self.loaded = root / "run" / "loaded"
        self.daemon_json = root / "daemon.json"
        self.lock = root / "run" / "lock"
        self.path = toolbox(root / "bin", "rmdir", "ln", "getent", "timeout", "wc", "sort", "cut")
        for directory in (self.units, root / "active"):
            directory.mkdir()
        for name, text in (("nft", NFT), ("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN)):
            stub(self.path, name, text.format(root))

    def unit(self, name: str, state: str) -> None:
        """Have a unit in this state."""
        (self.root / "active" / name).write_text(state)

    def state(self, name: str) -> str | None:
        """The state of a unit; None if systemd does not know it."""
        path = self.root / "active" / name
        return path.read_text().strip() if path.exists() else None

    def load_on_probation(self, rules: str = "new", confirm_s: int = 30) -> "_Ran":
        """What the controller does first."""
        words = self._words(("candidate.nft", "644", rules), *self._programs())
        text = script("base/put_files", "parts/egress/try", **HOST, confirm_s=confirm_s)
        return self._run(text.replace("flock -w 10", "flock -w 0"), *words)

    def confirm(self) -> "_Ran":
        """What it does when it has come back."""
        unit = (f"{self.units}/{UNIT}", "644", packed("[Unit]\n"))
        words = self._words(*self._programs())
        return self._run(script("base/put_files", "parts/egress/confirm", **HOST), *words, *unit)

    def undo(self) -> "_Ran":
        """What it does when it cannot confirm."""
        return self._run(script("parts/egress/undo"))

    def revert(self) -> "_Ran":
        """What the timer does."""
        return self._run(_at_once(script("parts/egress/revert")))

    def load(self, path: Path) -> "_Ran":
        """What the unit does at boot."""
        return self._run(script("parts/egress/load"), str(path))

    def members(self, what: str) -> "_Ran":
        """What a unit of Docker's does before it starts, the keeper, or who asks."""
        return self._run(script("parts/egress/members"), str(self.rules), what)

    def runs(self, *units: str) -> None:
        """Have these units of Docker's, and no others, run."""
        lines = [f"/system.slice/{unit}.service" if unit in units else "" for unit in UNITS]
        (self.root / "groups").write_text("\n\n".join(lines) + "\n")
        for unit in units:
            group = self.root / "cgroups" / "system.slice" / f"{unit}.service"
            group.mkdir(parents=True, exist_ok=True)
            (group / "cgroup.procs").write_text("1\n")

    def remove(self) -> "_Ran":
        """Take it all off."""
        return self._run(_at_once(script("base/put_files", "parts/egress/remove", **HOST)))

    def has(self, rules: str) -> None:
        """Have these rules in force, confirmed."""
        for ran in (self.load_on_probation(rules), self.confirm()):
            assert (ran.returncode, ran.stderr) == (0, "")
        (self.root / "asked").unlink()

    def asked(self, *programs: str) -> list[str]:
        """What these programs were asked to do, in order; questions are left out."""
        path = self.root / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            line.removeprefix("systemctl ").replace(str(self.root), "")
            for line in lines
            if line.split(" ")[0] in programs and " is-" not in line and " list " not in line
        ]

    def files(self) -> dict[str, str]:
        """Every file of the firewall's that is there, with its mode."""
        return {
            str(path.relative_to(self.root)): "link"
            if path.is_symlink()
            else f"{path.stat().st_mode & 0o777:o}"
            for top in (self.egress.parent, self.units)
            for path in sorted(top.rglob("*"))
            if path.is_file() or path.is_symlink()
        }

    def _programs(self) -> list[tuple[str, str, str]]:
        return [
            (f"{name}.sh", "755", self._here(_at_once(script(f"parts/egress/{name}"))))
            for name in ("members", "load", "revert")
        ]

    def _words(self, *items: tuple[str, str, str]) -> list[str]:
        files = ((f"{self.egress}/{name}", mode, packed(text)) for name, mode, text in items)
        return [word for file in files for word in file]

    def _run(self, text: str, *words: str) -> "_Ran":
        return run(self._here(text), *words, path=self.path)

    def _here(self, text: str) -> str:
        changes = {
            "/opt/gvisor/egress": self.egress,
            "/run/pyinfra-gvisor-egress": self.root / "run",
            "/etc/systemd/system": self.units,
            "/usr/sbin/nft": self.path / "nft",
            "/sys/fs/cgroup": self.root / "cgroups",
            "/etc/docker/daemon.json": self.daemon_json,
        }
        return replaced(text, {old: new for old, new in changes.items() if old in text})


_Ran = subprocess.CompletedProcess[str]


def _at_once(text: str) -> str:
    """A script that does not wait for the lock."""
    return text.replace("flock -w 30", "flock -w 0")
