"""When running containers get the scripts back that a start of dockerd has dropped."""

import subprocess
from pathlib import Path

from pyinfra_gvisor.base.scripts import script
from tests.table import table

# From the fourth question on it is another directory; with number "started" dockerd has started.
FAKES = """
sleep() { :; }
asked() { grep -c directory "$log"; }
directory_id() { echo directory >> "$log"; [ "$(asked)" -lt 4 ] && echo old || echo new; }
is_starting() { [ "$(asked)" -lt "$started" ]; }
look() { echo looked >> "$log"; }
"""


def run(text: str, directory: Path, **values: str) -> str:
    """What a shell prints that has read the script."""
    head = script(
        "daemon_json/runtime_scripts", state_dir=str(directory), unit="docker.service", **values
    )
    ran = subprocess.run(["sh"], input=head + text, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def looked(directory: Path, *, started: int, seen: str | None = "old") -> tuple[list[str], str]:
    """What was asked and done, in order, and the directory that is remembered in the end."""
    log, memory = directory / "log", directory / "seen"
    if seen is not None:
        memory.write_text(seen)
    text = f'{FAKES}set -- /none "$memory"\neval "$look_until_nothing_changes"\n'
    run(text, directory, log=str(log), started=str(started), memory=str(memory))
    return log.read_text().split(), memory.read_text().strip()


def test_nothing_is_put_where_dockerd_removes(tmp_path: Path) -> None:
    told, _ = looked(tmp_path, started=3)

    assert told[:4] == ["directory"] * 3 + ["looked"], "twice it starts, then it runs"
    assert told.count("looked") == 7


def test_a_new_directory_is_filled_at_once_and_not_when_dockerd_has_started(tmp_path: Path) -> None:
    told, seen = looked(tmp_path, started=7)

    assert told[:5] == ["directory"] * 4 + ["looked"]
    assert told[5:9] == ["directory"] * 3 + ["looked"], "once for each directory"
    assert seen == "new"


@table("seen", not_written=None, cut_off_on_a_full_disk="")
def test_a_directory_that_is_not_remembered_may_be_the_old_one(
    tmp_path: Path, seen: str | None
) -> None:
    told, _ = looked(tmp_path, started=4, seen=seen)

    assert told[:5] == ["directory"] * 4 + ["looked"]


def test_a_directory_that_was_made_again_is_another_one_in_every_time_zone(tmp_path: Path) -> None:
    text = """
    mkdir "$it"
    directory_id "$it"
    TZ=Asia/Tokyo directory_id "$it"
    rmdir "$it"
    directory_id "$it"
    mkdir "$it"
    directory_id "$it"
    """

    first, elsewhere, again = run(text, tmp_path, it=str(tmp_path / "it")).splitlines()

    assert first == elsewhere != again
