"""The deploy that says what a node has of the platform's own, in pyinfra's own process."""

import json
from pathlib import Path
from typing import Any

from pyinfra_gvisor.dispatch.pulled import END
from pyinfra_gvisor.platforms.discovered import FOUND_DIR, WANTED, read_found
from tests.arguments import Data
from tests.cases import cli
from tests.table import table
from tests.unit.dispatch.infrastructure import IMAGE, container, image, pulled_lines

DEPLOY = cli.CHECKOUT / "deploys" / "infrastructure.py"
ENTRY = {"image": IMAGE, "reason": "deploys every app", "shape": "coolify-helper"}


def ran(directory: Path, *told: str, data: Data, **environment: str) -> Any:
    """How a run over one node ends that answers so."""
    host = {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": {END: list(told)}}
    (directory / "inventory.py").write_text(cli.inventory(run={"a": {**host, **data}}))
    return cli.pyinfra(directory, "inventory.py", DEPLOY, "-y", environment=environment)


def test_a_node_is_listed_with_what_is_accepted_and_the_command_handed_what_was_found(
    tmp_path: Path,
) -> None:
    listed, found = tmp_path / "infrastructure.json", tmp_path / "found"
    data = {"gvisor_infrastructure": listed.name}
    found.mkdir()
    given = {FOUND_DIR: str(found), WANTED: json.dumps([IMAGE])}

    handed = ran(tmp_path, *pulled_lines(image()), data=data, **given)  # the file is not there yet
    listed.write_text(json.dumps([ENTRY]))
    outcome = ran(tmp_path, *pulled_lines(image(), container()), data=data)

    assert (handed.returncode, outcome.returncode) == (0, 0), handed.stderr + outcome.stderr
    (one,) = read_found(found)
    assert (one.host, one.reads) == ("@fake/a", "infrastructure.json")
    assert list(one.pulled.images) == [IMAGE]
    assert "coolify-helper" not in handed.stderr
    assert "coolify-helper" in outcome.stderr
    assert "to accept: pyinfra-gvisor accept" in outcome.stderr


@table(
    "text, told, says",
    damaged=("[", pulled_lines(), "line 1 column 2"),
    no_entry=('[{"image": "x"}]', pulled_lines(), "entry 1"),
    no_answer=("[]", ["nonsense"], ""),
)
def test_a_damaged_file_or_no_answer_fails_the_host(
    tmp_path: Path, text: str, told: list[str], says: str
) -> None:
    (tmp_path / "infrastructure.json").write_text(text)

    outcome = ran(tmp_path, *told, data={"gvisor_infrastructure": "infrastructure.json"})

    assert outcome.returncode == 1
    assert says in outcome.stderr
