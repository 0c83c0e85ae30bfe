"""The table of dockerd's keys says what real dockerds say."""

import json

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.key_table import WITHOUT_EFFECT
from pyinfra_gvisor.daemon_json.keys import KEYS, Version, version_of
from tests.table import table
from tests.unit.daemon_json.key_samples import WRONG, right
from tools.lab import LabNode

# One file a line on stdin, so that a node is asked once for all of them.
_VALIDATE = """
mkdir -p /tmp/key-table
while IFS= read -r text; do
    printf '%s' "$text" > /tmp/key-table/daemon.json
    if said=$(dockerd --validate --config-file /tmp/key-table/daemon.json 2>&1); then
        echo taken
    else
        echo "refused $said" | tr '\\n' ' '; echo
    fi
done <<'END'
{files}
END
rm -rf /tmp/key-table
"""


DOCKERS = {"20.10": "docker-20", "26.1": "plain", "28.5": "docker-28", "29.7": "docker-29"}
NEWEST_FIRST = ("docker-29", "docker-28", "plain")
"""Those that can validate a file."""


def answers(node: LabNode, files: list[dict[str, Json]]) -> list[str]:
    """What this node's ``dockerd --validate`` says of each of the files, in their order."""
    text = "\n".join(json.dumps(file) for file in files)
    ran = node.exec("sh", "-c", _VALIDATE.replace("{files}", text))
    found = ran.stdout.splitlines()
    assert len(found) == len(files), ran
    return found


def version_on(node: LabNode) -> Version:
    """The version that this node's dockerd says it is."""
    version = version_of(node.exec("dockerd", "--version").stdout.split()[2])
    assert version
    return version


def knows(version: Version, key: str) -> bool:
    """Whether the table says that dockerd of this version knows the key."""
    since, until = KEYS[key].since, KEYS[key].until
    return (since is None or version >= since) and (until is None or version < until)


@table("docker", DOCKERS)
def test_every_key_is_known_to_the_versions_that_the_table_names(
    nodes: dict[str, LabNode], docker: str
) -> None:
    node = nodes[docker]
    version = version_on(node)
    file = json.dumps({"no-such-key": 1, **dict.fromkeys(KEYS)})  # refused, hence never started
    command = f"echo '{file}' > /tmp/keys.json; timeout 9 dockerd --config-file /tmp/keys.json"

    ran = node.exec("sh", "-c", command)

    said = ran.stderr.partition("configuration option: ")[2].strip()
    assert set(said.split(", ")) == {"no-such-key", *(k for k in KEYS if not knows(version, k))}


def test_a_value_of_the_right_kind_is_taken_and_one_of_a_wrong_kind_refused(
    nodes: dict[str, LabNode],
) -> None:
    # dockerd 28 still takes it for a key, and looks at its value no more.
    unread = {"allow-nondistributable-artifacts"}
    asked: set[str] = set()
    for docker in NEWEST_FIRST:
        node, version = nodes[docker], version_on(nodes[docker])
        known = {key for key in KEYS if KEYS[key].kind != "ignored" and knows(version, key)}
        keys = sorted(known - asked - (unread if docker != "plain" else set()))
        asked.update(keys)

        right_ones = dict(
            zip(keys, answers(node, [{key: right(key)} for key in keys]), strict=True)
        )
        wrong_ones = answers(node, [{key: WRONG[KEYS[key].kind]} for key in keys])

        # tlsverify asks for certificates, whatever its value: then it was read.
        read = ("taken", "invalid TLS config")
        assert [key for key, said in right_ones.items() if not any(w in said for w in read)] == []
        assert [key for key, said in zip(keys, wrong_ones, strict=True) if said == "taken"] == []
    assert asked == {key for key in KEYS if KEYS[key].kind != "ignored"}


@pytest.mark.parametrize("docker", NEWEST_FIRST)
def test_a_name_without_effect_is_taken_and_another_case_is_not(
    nodes: dict[str, LabNode], docker: str
) -> None:
    version = version_on(nodes[docker])
    meant = {name: key for name, key in WITHOUT_EFFECT.items() if name != "feature"}
    names = [name for name, key in meant.items() if key is None or knows(version, key)]
    said = answers(nodes[docker], [{name: None} for name in names] + [{"Debug": True}])

    assert set(said[:-1]) == {"taken"}
    assert "don't match any configuration option: Debug" in said[-1]
