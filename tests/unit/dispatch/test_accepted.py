"""The file with the accepted infrastructure: what it says, who wrote it, and how it is damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.dispatch.accepted import (
    accepted_text,
    is_accepted,
    merged,
    read_accepted,
    write_accepted,
)
from pyinfra_gvisor.dispatch.policy import Infrastructure
from pyinfra_gvisor.dispatch.shapes import PROJECT_DIR, PROJECT_FILES
from pyinfra_gvisor.judge.infrastructure import runs_commands
from pyinfra_gvisor.planning.examined import settings_line
from pyinfra_gvisor.settings import load_settings
from tests.arguments import Patch
from tests.table import table
from tests.unit.dispatch.infrastructure import IMAGE


def entry(**values: Any) -> Infrastructure:
    """An entry for Coolify's helper, or with other values."""
    given = {"image": IMAGE, "reason": "deploys every app", "shape": "coolify-helper", **values}
    return Infrastructure.model_validate(given)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "infrastructure.json"


def test_what_is_written_is_read_again(path: Path) -> None:
    exporter = entry(shape="node-exporter", ports=[])
    entries = (entry(env=["PATH=/bin"], env_free=["NPM_TOKEN"]), exporter)

    write_accepted(path, entries)

    assert read_accepted(path) == entries


def test_an_entry_has_no_more_lines_than_it_needs(path: Path) -> None:
    write_accepted(path, [entry()])

    assert json.loads(path.read_text()) == [
        {"image": IMAGE, "reason": "deploys every app", "shape": "coolify-helper"}
    ]


def test_entries_are_sorted_so_that_a_change_is_a_small_diff() -> None:
    one, two = entry(image=f"sha256:{'1' * 64}"), entry(image=f"sha256:{'2' * 64}")
    proxy = entry(shape="coolify-proxy")

    assert merged([two, proxy], [one]) == merged([one], [proxy, two]) == (one, two, proxy)


def test_what_others_wrote_stays_and_the_same_container_is_replaced() -> None:
    others = entry(shape=None, name="agent", without_labels=["com.docker.compose."])
    assert merged([others, entry(reason="another reason")], [entry()]) == (others, entry())


def test_the_same_image_with_other_flags_on_another_node_is_one_more_entry() -> None:
    one, other = entry(command=["--log=a"]), entry(command=["--log=b"])

    assert merged([one], [other]) == merged([other], [one]) == (one, other)


def test_an_entry_with_any_ports_is_about_a_container_with_some_too() -> None:
    any_port, one = entry(shape="coolify-proxy"), entry(shape="coolify-proxy", ports=["80:80/tcp"])

    project = {PROJECT_DIR: "/srv", "com.docker.compose.project": "edge"}
    given = {"shape": "compose", "name": "edge", "ports": []}
    any_file = entry(**given, labels=project)
    own_file = entry(**given, labels={**project, PROJECT_FILES: "/srv/compose.yaml"})

    for wide, narrow in ((any_port, one), (any_file, own_file)):
        assert merged([wide], [narrow]) == (narrow,)
        assert (is_accepted(narrow, wide), is_accepted(wide, narrow)) == (False, True)


def test_a_symlink_and_its_files_rights_stay(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "shared.json"
    target.write_text("[]\n")
    target.chmod(0o600)
    path.symlink_to(target)

    write_accepted(path, [entry()])

    assert path.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert read_accepted(path) == (entry(),)


@table(
    "text, says",
    cut_short=("[\n  {\n", "line 3 column 1"),
    merge_conflict=("[\n<<<<<<< HEAD\n]", "line 2 column 1"),
    no_list=("{}", "must be a list of entries, got dict"),
    no_id=('[{"image": "x"}]', "entry 1: "),
    key_twice=('[{"image": "a", "image": "b"}]', "a key exists twice"),
    no_entry=("[1]", "entry 1: "),
    deep=("[" * 100_000, ""),
    not_utf_8=('["\xff"]', "not UTF-8 at byte 2"),
)
def test_a_damaged_file_is_refused_where_it_is_damaged(path: Path, text: str, says: str) -> None:
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(Problem) as caught:
        read_accepted(path)

    assert says in str(caught.value)
    assert "infrastructure.json" in str(caught.value)


def test_settings_name_the_file(path: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)
    write_accepted(path, [entry()])

    settings, problems = load_settings({"gvisor_infrastructure": "infrastructure.json"})

    assert problems == {}
    assert settings
    assert settings.infrastructure == (entry(),)


def test_a_changed_file_is_read_again(path: Path) -> None:
    write_accepted(path, [entry()])
    before = read_accepted(path)

    write_accepted(path, [])

    assert (before, read_accepted(path)) == ((entry(),), ())


def test_settings_that_name_a_missing_file_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    _, problems = load_settings({"gvisor_infrastructure": "infrastructure.json"})

    assert problems["gvisor_infrastructure"] == (
        f"infrastructure.json does not exist in {tmp_path}; change to the directory of your fleet, "
        "or restore this file from version control. If nothing was accepted yet, run "
        "pyinfra-gvisor accept, which writes this file, or remove gvisor_infrastructure"
    )


def test_an_entry_adds_to_its_shape_but_changes_nothing_of_it() -> None:
    mount = "/home/debian/.docker/buildx:/root/.docker/buildx:rw"

    wider = entry(env_free=["NPM_TOKEN"], optional_mounts=[mount])

    assert {"COOLIFY_URL", "NPM_TOKEN"} <= {*wider.env_free}
    assert mount in wider.optional_mounts
    assert Infrastructure.model_validate(wider.written()) == wider
    with pytest.raises(ValueError, match="the kind coolify-helper already sets mounts"):
        entry(mounts=["/:/host:rw"])


@pytest.mark.parametrize(
    "name",
    [
        "BASH_ENV",
        "ENV",
        "LD_PRELOAD",
        "PERL5OPT",
        "PATH",
        "GIT_SSH_COMMAND",
        "NODE_OPTIONS",
        "_JAVA_OPTIONS",
    ],
)
def test_a_variable_with_which_programs_run_commands_cannot_be_free(name: str) -> None:
    with pytest.raises(ValueError, match="must not be in env_free"):
        entry(env_free=[name])


def test_a_long_name_of_a_variable_is_judged_at_once() -> None:
    assert not runs_commands("JAVA" * 200_000)  # each JAVA could begin with what follows it


def test_the_text_ends_with_a_line() -> None:
    assert accepted_text([]) == "[]\n"


@table(
    "default, says",
    on=("sandbox", "also by default (runsc); 1 entry in gvisor_infrastructure"),
    off=("off", "1 entry in gvisor_infrastructure, unused"),
)
def test_the_doctor_says_how_many_entries_are_declared(default: str, says: str) -> None:
    data = {"gvisor_default": default, "gvisor_infrastructure": [entry().written()]}

    settings, _ = load_settings(data)

    assert settings
    assert says in settings_line(settings)
