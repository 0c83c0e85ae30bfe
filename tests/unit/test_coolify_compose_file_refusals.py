"""A docker-compose.custom.yml that cannot take our lines without a guess is refused."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.compose_file import has, lines_to_add, merged
from tests.unit.compose_files import ENTRY, MOUNTS

TOP = "services:\n  coolify:\n"
LIST = f"{TOP}    volumes:\n"
SECRET = "hunter2"  # noqa: S105 - a made-up one to look for

PATHS = [
    pytest.param(
        "{services: {}}\n",
        "line 1 column 1: the top level is written in flow style, got {",
        id="flow-at-the-top",
    ),
    pytest.param(
        "services: {}\n",
        "line 1 column 11: services is written in flow style, got {",
        id="flow-services",
    ),
    pytest.param(
        "services:\n  coolify: {image: x}\n",
        "line 2 column 12: services.coolify is written in flow style, got {",
        id="flow-service",
    ),
    pytest.param(
        f"{TOP}    volumes: [/a:/b]\n",
        "line 3 column 14: services.coolify.volumes is written in flow style, got [",
        id="flow-volumes",
    ),
    pytest.param(
        f"{TOP}    volumes:\n      [/a:/b]\n",
        "line 4 column 7: services.coolify.volumes is written in flow style, got [",
        id="flow-on-a-line-of-its-own",
    ),
    pytest.param(
        "x: &x\n  a: 1\nservices: *x\n",
        "line 3 column 11: services is an alias, got *x",
        id="alias-services",
    ),
    pytest.param(
        "services:\n  a: &a {}\n  coolify: *a\n",
        "line 3 column 12: services.coolify is an alias, got *a",
        id="alias-service",
    ),
    pytest.param(
        f"x: &x [/a:/b]\n{TOP}    volumes: *x\n",
        "line 4 column 14: services.coolify.volumes is an alias, got *x",
        id="alias-volumes",
    ),
    pytest.param(
        "&x\nservices:\n",
        "line 1 column 1: the top level has an anchor, others may use it, got &x",
        id="anchor-at-the-top",
    ),
    pytest.param(
        "services: &x\n  coolify:\n",
        "line 1 column 11: services has an anchor, others may use it, got &x",
        id="anchor-services",
    ),
    pytest.param(
        "services:\n  coolify: &x\n",
        "line 2 column 12: services.coolify has an anchor, others may use it, got &x",
        id="anchor-without-a-value",
    ),
    pytest.param(
        f"{TOP}    volumes: &x\n      - /a:/b\n",
        "line 3 column 14: services.coolify.volumes has an anchor, others may use it, got &x",
        id="anchor-volumes",
    ),
    pytest.param(
        "services:\n  &x coolify:\n    a: 1\n",
        "line 2 column 3: coolify is not written as a plain key at the end of its line",
        id="anchor-of-the-key",
    ),
    pytest.param(
        "services: !override\n  coolify:\n",
        "line 1 column 11: services has a YAML tag, got !override",
        id="tag-services",
    ),
    pytest.param(
        f"{TOP}    volumes: !reset\n      - /a:/b\n",
        "line 3 column 14: services.coolify.volumes has a YAML tag, got !reset",
        id="tag-volumes",
    ),
    pytest.param(
        f"{TOP}    volumes: !reset null\n",
        "line 3 column 14: services.coolify.volumes has a YAML tag, got !reset",
        id="tag-of-nothing",
    ),
    pytest.param(
        f"{TOP}    volumes: !!seq\n      - /a:/b\n",
        "line 3 column 14: services.coolify.volumes has a YAML tag, got tag:yaml.org,2002:seq",
        id="tag-of-yamls",
    ),
    pytest.param(
        f"{LIST}      - !reset /a:/b\n",
        "line 4 column 9: a mount with a YAML tag, got !reset",
        id="tag-of-an-item",
    ),
    pytest.param(
        f"x: &x\n  volumes: [/a:/b]\n{TOP}    <<: *x\n",
        "line 5 column 5: services.coolify may get volumes from a merge key, got <<",
        id="merge-key-volumes",
    ),
    pytest.param(
        "x: &x {}\nservices:\n  a: b\n  <<: *x\n",
        "line 4 column 3: services may get coolify from a merge key, got <<",
        id="merge-key-service",
    ),
    pytest.param(
        "- a\n",
        "line 1 column 1: the top level must be a mapping, got a list",
        id="a-list-at-the-top",
    ),
    pytest.param(
        "a mapping\n",
        "line 1 column 1: the top level must be a mapping, got a mapping",
        id="a-text-at-the-top",
    ),
    pytest.param(
        "~\n", "line 1 column 1: the top level must be a mapping, got ~", id="null-at-the-top"
    ),
    pytest.param(
        "services: ''\n",
        "line 1 column 11: services must be a mapping, got an empty text",
        id="an-empty-text",
    ),
    pytest.param(
        "services:\n  coolify: null\n",
        "line 2 column 12: services.coolify must be a mapping, got null",
        id="null-written-out",
    ),
    pytest.param(
        f"{TOP}    - a\n",
        "line 3 column 5: services.coolify must be a mapping, got a list",
        id="a-list-for-a-service",
    ),
    pytest.param(
        f"{LIST}      /a: /b\n",
        "line 4 column 7: services.coolify.volumes must be a list, got a mapping",
        id="a-mapping-for-volumes",
    ),
    pytest.param(
        f"{TOP}    volumes: /a:/b\n",
        "line 3 column 14: services.coolify.volumes must be a list, got /a:/b",
        id="a-text-for-volumes",
    ),
    pytest.param(
        "? services\n: coolify:\n    image: x\n",
        "line 1 column 3: services is not written as a plain key at the end of its line",
        id="a-key-with-a-question-mark",
    ),
]

FILES = [
    pytest.param(
        "a: 1\n---\nservices:\n", "line 2 column 1: a second document, got ---", id="two-documents"
    ),
    pytest.param(
        "services:\n---\n",
        "line 2 column 1: a second document, got ---",
        id="a-second-that-is-empty",
    ),
    pytest.param(
        "services:\n  a: 1\nservices:\n",
        "line 3 column 1: the key services is there twice",
        id="a-key-twice",
    ),
    pytest.param(
        f"{TOP}    x: 1\n    'x': 1\n",
        "line 4 column 5: the key x is there twice",
        id="a-key-twice-deeper",
    ),
    pytest.param(
        "? services:\n: a\n", "line 1 column 3: a key that is not a text", id="a-mapping-for-a-key"
    ),
    pytest.param(
        "x: &x services\n*x : 1\n",
        "line 2 column 1: a key that is not a text",
        id="an-alias-for-a-key",
    ),
    pytest.param(
        "x: [{a: 1, a: 2}]\n",
        "line 1 column 12: the key a is there twice",
        id="a-key-twice-elsewhere",
    ),
    pytest.param(
        f"services:\n\tb: {SECRET}\n",
        "line 2 column 1: not YAML: found character '\\t' that cannot start any token, got b:",
        id="a-tab",
    ),
    pytest.param(
        f"services:\r\n  a: {SECRET}\r\n b: 1\r\n",
        "line 3 column 2: not YAML: expected <block end>, but found '<block mapping start>', got",
        id="odd-indentation",
    ),
    pytest.param(
        f"a: '{SECRET}\nb: 1\n",
        "line 3 column 1: not YAML: found unexpected end of stream",
        id="a-quote-not-closed",
    ),
    pytest.param(
        f"services:\n  - {SECRET}: [\n", "line 3 column 1: not YAML: ", id="a-bracket-not-closed"
    ),
    pytest.param(
        f"a: *x\nb: {SECRET}\n",
        "line 1 column 4: an alias without an anchor, got *x",
        id="an-alias-of-nothing",
    ),
    pytest.param(
        "a: \x07\n", "line 1 column 4: unprintable character, got U+0007", id="unprintable"
    ),
    pytest.param(
        "a: 1\nb: \udc80\n", "line 2 column 4: unprintable character, got U+DC80", id="not-utf-8"
    ),
    pytest.param(
        'a: "\\UFFFFFFFF"\n',
        "not YAML: an escape is not a character",
        id="an-escape-of-nothing",
    ),
    pytest.param(
        f"a: {'[' * 200}{']' * 200}\n",
        "line 1 column 103: nested too deeply",
        id="nested-too-deeply",
    ),
    pytest.param(
        "a: |\n  text without an end",
        "line 3 column 1: changing our lines would change the meaning of other lines",
        id="a-text-to-the-very-end",
    ),
]

OTHERS = [
    pytest.param(
        f"{LIST}      - /a:/etc/entrypoint.d/50-own.sh\n",
        "line 4 column 9: another mount has the target of ours, got /etc/entrypoint.d/50-own.sh",
        id="short",
    ),
    pytest.param(
        f"{LIST}      - '{ENTRY.removesuffix(':ro')}'\n",
        "line 4 column 9: another mount has the target of ours, got /etc/entrypoint.d/50-own.sh",
        id="the-same-but-writable",
    ),
    pytest.param(
        f"{LIST}      - ${{A:-/a:/b}}:/opt//own/./patch.php/\n",
        "line 4 column 9: another mount has the target of ours, got /opt/own/patch.php",
        id="a-variable-and-an-odd-path",
    ),
    pytest.param(
        f"{LIST}      - /a:/b\n      - type: bind\n        target: /opt/own/patch.php\n",
        "line 5 column 9: another mount has the target of ours, got /opt/own/patch.php",
        id="long",
    ),
    pytest.param(
        f"{LIST}      - {{target: /opt/own/patch.php}}\n",
        "line 4 column 9: another mount has the target of ours, got /opt/own/patch.php",
        id="long-in-flow-style",
    ),
    pytest.param(
        f"x: &x\n  target: /opt/own/patch.php\n{LIST}      - <<: *x\n        type: bind\n",
        "line 6 column 9: another mount has the target of ours, got /opt/own/patch.php",
        id="long-by-a-merge-key",
    ),
    pytest.param(
        f"x: &x /a:/opt/own/patch.php\n{LIST}      - *x\n",
        "line 1 column 4: another mount has the target of ours, got /opt/own/patch.php",
        id="by-an-alias",
    ),
    pytest.param(
        f"{LIST}      - /opt/own/patch.php\n",
        "line 4 column 9: another mount has the target of ours, got /opt/own/patch.php",
        id="a-volume-without-a-name",
    ),
    pytest.param(
        f"{LIST}      - ./scripts:/etc/entrypoint.d/:ro\n",
        "line 4 column 9: this mount covers a directory into which ours go, got /etc/entrypoint.d",
        id="a-directory-above",
    ),
]


@pytest.mark.parametrize(("text", "told"), [*PATHS, *FILES, *OTHERS])
def test_what_cannot_be_merged_is_refused_with_its_place_and_the_lines_to_write(
    text: str, told: str
) -> None:
    with pytest.raises(Problem) as caught:
        merged(text, MOUNTS)

    assert str(caught.value).startswith(f"{told}"), str(caught.value)
    assert str(caught.value).endswith(f"\n{lines_to_add(MOUNTS)}")
    assert SECRET not in str(caught.value)
    assert not has(text, MOUNTS)
