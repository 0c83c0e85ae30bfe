"""docker-compose.custom.yml gets our mounts and loses them again: all else stays, to the byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyinfra_gvisor.coolify.compose_file import MARK, has, lines_to_add, merged, removed
from tests.unit.compose_files import ENTRY, MOUNTS, WHOLE, case, read, with_mounts

VOLUMES = ("+    volumes:", "+      - ENTRY", "+      - PATCH")
COOLIFY = ("+  coolify:", *VOLUMES)
SERVICES = ("+services:", *COOLIFY)

CASES = [
    case("only-comments", "# Kept by hand.", "", "  # Really.", *SERVICES),
    case("only-a-document-start", "# ours", "---", *SERVICES),
    case("a-document-start-and-end", "--- # ours", "# none", *SERVICES, "...", "# the end"),
    case("another-service", "services:", *COOLIFY, "  redis:", "    image: redis:8", "# end"),
    case("no-service", "# none", "services:", *COOLIFY),
    case("no-service-then-others", "services: # none", *COOLIFY, "x-a:", "  b: 1"),
    case(
        "a-service-of-four-columns",
        "services:",
        "    coolify:",
        "+        volumes:",
        "+            - ENTRY",
        "+            - PATCH",
        "        environment:",
        "            - A=b # as it is",
        "        labels: {a: b, 'c': \"d\"}",
    ),
    case(
        "a-service-of-uneven-columns",
        "services:",
        " coolify:",
        "+     volumes:",
        "+         - ENTRY",
        "+         - PATCH",
        "     image: x",
    ),
    case("a-service-with-nothing", "services:", "  coolify:", *VOLUMES, "  redis: {}"),
    case("a-quoted-key", '"services" :', "  'coolify':", *VOLUMES, "    image: x"),
    case(
        "volumes-of-two-columns",
        "services:",
        "  coolify:",
        "    volumes:  # two",
        "+      - ENTRY",
        "+      - PATCH",
        "      # a certificate",
        "      - /a:/b",
        "      - '/c:/d:ro'",
        "    image: x",
    ),
    case(
        "volumes-of-no-columns",
        "services:",
        "  coolify:",
        "    volumes:",
        "+    - ENTRY",
        "+    - PATCH",
        "    - /a:/b",
    ),
    case(
        "volumes-of-four-columns-and-comments-between",
        "services:",
        "    coolify:",
        "        # before",
        "        volumes:",
        "+            - ENTRY",
        "+            - PATCH",
        "",
        "  # less",
        "            -   /a:/b   # after",
        "                    # more",
        "            - /c",
    ),
    case(
        "volumes-with-nothing",
        "services:",
        "  coolify:",
        "    image: x",
        "    volumes:",
        "+      - ENTRY",
        "+      - PATCH",
        "    user: root",
    ),
    case(
        "volumes-in-long-syntax",
        "services:",
        "  coolify:",
        "    volumes:",
        "+      - ENTRY",
        "+      - PATCH",
        "      - type: bind",
        "        source: /own/entry.sh",
        "        target: /etc/entrypoint.d/60-own.sh",
        "      - {type: tmpfs, target: /tmp}",
    ),
    case(
        "a-volume-without-a-target",
        "services:",
        "  coolify:",
        "    volumes:",
        "+      - ENTRY",
        "+      - PATCH",
        "      - type: tmpfs",
    ),
    case(
        "other-keys-at-the-top",
        "name: coolify",
        'version: "3.8"',
        "x-log: &log",
        "  driver: json-file",
        "services:",
        "  coolify:",
        *VOLUMES,
        "    logging: *log",
        "networks:",
        "  coolify: {external: true}",
    ),
    case("no-services-at-all", "networks:", "  coolify:", "", "    external: true", *SERVICES),
    case("a-text-before", "x-a: |", "  services:", "    coolify:", "# end", *SERVICES),
    case(
        "a-merge-key-beside",
        "x-a: &a",
        "  restart: always",
        "services:",
        "  coolify:",
        "    <<: *a",
        "    volumes:",
        "+      - ENTRY",
        "+      - PATCH",
        "      - ${DIR:-/a}:/b",
    ),
    case(
        "tags-of-composes-elsewhere",
        "services:",
        "  coolify:",
        *VOLUMES,
        "    ports: !override",
        "      - 8000:8080",
        "    command: !reset null",
    ),
    case(
        "an-indented-file",
        "  # all of it",
        "  x-a:",
        "    b: 1",
        *(f"+  {line[1:]}" for line in SERVICES),
    ),
    case("text-that-looks-like-ours", "x-a: |", f"  services:  {MARK}", "# x", *SERVICES),
    case("a-comment-that-looks-like-ours", "# x", f"# - {ENTRY}  {MARK}", *SERVICES),
]

FORMS = [
    pytest.param(lambda text: text, id="as-it-is"),
    pytest.param(lambda text: text.replace("\n", "\r\n"), id="crlf"),
    pytest.param(lambda text: text.removesuffix("\n"), id="no-newline-at-the-end"),
    pytest.param(lambda text: text.replace("\n", "\r\n").removesuffix("\r\n"), id="crlf-no-end"),
    pytest.param(lambda text: f"\ufeff{text}", id="byte-order-mark"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("before", "after"), CASES)
def test_our_lines_come_in_and_go_again_to_the_byte(
    before: str, after: str, form: Callable[[str], str]
) -> None:
    added = merged(form(before), MOUNTS)

    assert added == form(after)
    assert removed(added, MOUNTS) == form(before)


@pytest.mark.parametrize(("before", "after"), CASES)
def test_any_reader_finds_the_mounts_and_all_that_was_there(before: str, after: str) -> None:
    added = merged(before, MOUNTS)

    assert read(added) == with_mounts(before)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("before", "after"), CASES)
def test_a_second_run_changes_nothing(before: str, after: str, form: Callable[[str], str]) -> None:
    assert not has(form(before), MOUNTS)
    assert has(form(after), MOUNTS)
    assert merged(form(after), MOUNTS) == form(after)
    assert removed(form(before), MOUNTS) == form(before)


@pytest.mark.parametrize(
    "text",
    [pytest.param(None, id="no-file"), pytest.param("", id="an-empty-file")],
)
def test_where_nothing_was_there_is_only_ours_and_then_nothing_again(text: str | None) -> None:
    added = merged(text, MOUNTS)

    assert added == WHOLE
    assert removed(added, MOUNTS) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\n", id="an-empty-line"),
        pytest.param("  \n\n ", id="blanks"),
        pytest.param("\ufeff", id="byte-order-mark"),
        pytest.param("\r\n# x", id="crlf-and-a-comment"),
    ],
)
def test_a_file_with_nothing_to_read_is_kept_to_the_byte(text: str) -> None:
    added = merged(text, MOUNTS)

    assert read(added) == with_mounts("")
    assert removed(added, MOUNTS) == text


def test_the_lines_to_add_by_hand_are_those_of_a_file_of_ours() -> None:
    assert lines_to_add(MOUNTS) == WHOLE.rstrip("\n")


def test_one_line_without_an_end_gets_it_back_to_have_none() -> None:
    added = merged("services:", MOUNTS)

    assert added == WHOLE.replace(f":  {MARK}", ":", 1).rstrip("\n")
    assert removed(added, MOUNTS) == "services:"
