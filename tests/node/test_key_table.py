"""The table of dockerd's keys says what real dockerds say."""

import json

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.key_table import WITHOUT_EFFECT
from pyinfra_gvisor.daemon_json.keys import KEYS, Version, version_of
from tests.node.turns import steps_of_turn
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


each_docker = table("docker", {"26.1": "plain", "28.5": "docker-28", "29.7": "docker-29"})


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


@each_docker
def test_every_key_is_known_to_the_versions_that_the_table_names(
    nodes: dict[str, LabNode], docker: str
) -> None:
    node, version = nodes[docker], version_on(nodes[docker])
    known = [key for key in KEYS if knows(version, key)]
    unknown = [key for key in KEYS if key not in known]

    said = answers(node, [{key: right(key)} for key in unknown])

    assert taken(node, known) == known
    assert [key for key, answer in zip(unknown, said, strict=True) if _was_read(answer)] == []


def taken(node: LabNode, keys: list[str]) -> list[str]:
    """Return which of the keys dockerd takes: many at once, until it refuses them."""
    (said,) = answers(node, [{key: right(key) for key in keys}])
    if said == "taken" or len(keys) == 1:
        return keys if _was_read(said) else []
    half = len(keys) // 2
    return [*taken(node, keys[:half]), *taken(node, keys[half:])]


def _was_read(said: str) -> bool:
    # tlsverify asks for certificates, whatever its value.
    return said == "taken" or "invalid TLS config" in said


@each_docker
def test_every_value_of_a_wrong_kind_is_refused(nodes: dict[str, LabNode], docker: str) -> None:
    # dockerd 28 still takes it for a key, and looks at its value no more.
    unread = set() if docker == "plain" else {"allow-nondistributable-artifacts"}
    every = [key for key in KEYS if KEYS[key].kind != "ignored" and key not in unread]
    keys = steps_of_turn(every)

    said = answers(nodes[docker], [{key: WRONG[KEYS[key].kind]} for key in keys])

    assert [key for key, answer in zip(keys, said, strict=True) if answer == "taken"] == []


@each_docker
def test_a_name_without_effect_is_taken_and_another_case_is_not(
    nodes: dict[str, LabNode], docker: str
) -> None:
    version = version_on(nodes[docker])
    meant = {name: key for name, key in WITHOUT_EFFECT.items() if name != "feature"}
    names = [name for name, key in meant.items() if key is None or knows(version, key)]
    said = answers(nodes[docker], [{name: None} for name in names] + [{"Debug": True}])

    assert set(said[:-1]) == {"taken"}
    assert "don't match any configuration option: Debug" in said[-1]


def test_a_dockerd_that_cannot_validate_knows_the_keys_that_the_table_names(
    nodes: dict[str, LabNode],
) -> None:
    node, version = nodes["docker-20"], (20, 10)
    file = json.dumps({"no-such-key": 1, **dict.fromkeys(KEYS)})  # refused, hence never started

    ran = node.exec(
        "sh",
        "-c",
        f"echo '{file}' > /tmp/keys.json; timeout 9 dockerd --config-file /tmp/keys.json",
    )

    said = ran.stderr.partition("configuration option: ")[2].strip()
    assert set(said.split(", ")) == {"no-such-key", *(k for k in KEYS if not knows(version, k))}
