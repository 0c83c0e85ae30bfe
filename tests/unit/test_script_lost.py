"""Which containers a restart of dockerd ends, and which count as lost after it: ``dockerd.sh``."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from tests.unit.shells import run, stub, toolbox

NONE_LOST = 'say() { printf "%s\\n" "$*"; }\nnone_lost || echo "$lost"'
DOCKER = "case $1 in ps) ;; info) echo 2026-11-29T16:00:01Z ;; events) printf '{}' ;; esac"


@pytest.mark.parametrize(
    ("events", "back", "lost"),
    [
        pytest.param("", True, "web\n", id="gone-before-dockerd-answered"),
        pytest.param("die 137\\n", True, "web\n", id="died"),
        pytest.param("kill <no value>\\ndie 137\\n", True, "", id="stopped-later"),
        pytest.param("destroy <no value>\\n", True, "", id="removed-later"),
        pytest.param("die 0\\n", True, "", id="ended-by-itself"),
        pytest.param("kill <no value>\\n", False, "web\n", id="not-known-since-when"),
    ],
)
def test_a_container_is_lost_unless_it_ended_after_dockerd_was_back(
    tmp_path: Path, events: str, back: bool, lost: str
) -> None:
    path = toolbox(tmp_path / "bin")
    stub(path, "docker", DOCKER.format(events))
    (tmp_path / "running").write_text("c0ffee 42 0 /web\n")
    (tmp_path / "back").write_text("2026-11-29T16:00:00Z\n" if back else "")
    given = {"runtimes": "", "live_restore": "", "default_runtime": "", "work": str(tmp_path)}

    ran = run(script("daemon_json/dockerd", timeout_s=5, **given) + NONE_LOST, path=path)

    assert (ran.stdout, ran.stderr) == (lost, "")


@pytest.mark.parametrize(
    ("spared", "watched"),
    [
        pytest.param("web", False, id="name"),
        pytest.param("c0ffee123456", False, id="short-id"),
        pytest.param("c0ffee1234567", False, id="longer"),
        pytest.param("c0ffee", True, id="less-than-docker-shows"),
        pytest.param("c0ffee123456f", True, id="another-id"),
    ],
)
def test_a_container_that_may_end_is_known_by_name_and_by_id(
    tmp_path: Path, spared: str, watched: bool
) -> None:
    path = toolbox(tmp_path / "bin")
    stub(path, "docker", "case $1 in ps) echo id ;; *) echo c0ffee12345678 42 0 /web ;; esac")
    given = {"runtimes": "", "live_restore": "", "default_runtime": "", "work": str(tmp_path)}
    body = f'say() {{ printf "%s\\n" "$*"; }}\nspared=" {spared} "\nsnapshot'

    ran = run(script("daemon_json/dockerd", timeout_s=5, **given) + body, path=path)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "running").read_text() == ("c0ffee12345678 42 0 /web\n" if watched else "")


# The first list has three containers, of which c3 ends; inspect says of the others what it found.
LISTS = """
case $1 in
    ps) if [ -e @/listed ]; then echo "$second"; else : > @/listed; printf '%s\\n' c1 c2 c3; fi ;;
    inspect) printf '%s\\n' "c1 /job" "c2 "; exit "$code" ;;
esac
"""


@pytest.mark.parametrize(
    ("code", "second", "printed"),
    [
        pytest.param(0, "c1 c2 c3", "job", id="described"),
        pytest.param(1, "c1 c2", "job", id="one-has-ended"),
        pytest.param(1, "c1 c2 c4", "job", id="one-has-ended-and-one-come"),
        pytest.param(1, "c1 c2 c3", "unknown\n", id="one-not-described"),
        pytest.param(124, "c1 c2", "unknown\n", id="no-answer-in-time"),
    ],
)
def test_a_container_of_which_docker_says_nothing_is_not_one_that_may_end(
    tmp_path: Path, code: int, second: str, printed: str
) -> None:
    path = toolbox(tmp_path / "bin")
    stub(path, "docker", f"code={code} second='{second}'\n{LISTS.replace('@', str(tmp_path))}")
    given = {"runtimes": "", "live_restore": "", "default_runtime": "", "work": str(tmp_path)}

    ran = run(
        script("daemon_json/dockerd", timeout_s=5, **given) + "ephemeral || echo unknown", path=path
    )

    assert (ran.stdout, ran.stderr) == (printed, "")
