"""What a daemon.json must be, and how it is said when it is not."""

from __future__ import annotations

import re

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import (
    Json,
    JsonText,
    Path,
    from_pointer,
    lookup,
    pointer,
    position_of,
)

SURROGATE = '{"a": "\\ud800"}'


@pytest.mark.parametrize(
    ("text", "where"),
    [
        pytest.param(
            "\ufeff", "line 1 column 1: the file begins with a byte order mark", id="only-a-mark"
        ),
        pytest.param(
            '\ufeff{"a": 1}',
            "line 1 column 1: the file begins with a byte order mark",
            id="byte-order-mark",
        ),
        pytest.param("[]", "line 1 column 1: the top level must be an object", id="a-list"),
        pytest.param("null", "line 1 column 1: the top level must be an object", id="null"),
        pytest.param('"x"', "line 1 column 1: the top level must be an object", id="a-string"),
        pytest.param("nonsense", "line 1 column 1: not JSON", id="nonsense"),
        pytest.param('{\n  "a": 1\n  "b": 2\n}', "line 3 column 3: not JSON", id="missing-comma"),
        pytest.param('{\n\t"a": [1, 2\n}\n', "line 3 column 1: not JSON", id="list-not-closed"),
        pytest.param("{'a': 1}", "line 1 column 2: not JSON", id="single-quotes"),
        pytest.param('{\n  // no\n  "a": 1\n}', "line 2 column 3: not JSON", id="a-comment"),
        pytest.param('{"a": 1}\n{"b": 2}', "line 2 column 1: not JSON", id="two-documents"),
        pytest.param('{"a": "x\n"}', "line 1 column 9: not JSON", id="newline-in-a-string"),
        pytest.param('{\r\n  "a": 1,\r\n  b: 2\r\n}', "line 3 column 3: not JSON", id="crlf"),
        pytest.param('{"gr\u00fc\u00df": ja}', "line 1 column 10: not JSON", id="unicode-before"),
        pytest.param('{"a": 1', "line 1 column 8: not JSON", id="not-closed"),
        pytest.param('{"a": 1\n', "line 2 column 1: not JSON", id="not-closed-then-newline"),
        pytest.param('{"a": 1\r\n', "line 2 column 1: not JSON", id="not-closed-then-crlf"),
        pytest.param('{\n  "a": {\n', "line 3 column 1: not JSON", id="cut-off-inside"),
        pytest.param('{"a":' + "[" * 100_000, "line 1 column 1: too many", id="nested-too-deep"),
    ],
)
def test_what_is_no_json_object_is_refused_by_line_and_column(text: str, where: str) -> None:
    with pytest.raises(Problem, match=f"^{re.escape(where)}"):
        JsonText(text)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        pytest.param(
            '{\n  "a": 1\n  "b": 2\n}', 'got "b": 2; correct the file by hand', id="the-line"
        ),
        pytest.param(
            '{"a": 1\n', "got the end of the file; correct the file by hand", id="the-end"
        ),
    ],
)
def test_what_is_no_json_is_shown_by_its_line(text: str, got: str) -> None:
    with pytest.raises(Problem, match=re.escape(got)):
        JsonText(text)


def test_a_trailing_comma_is_refused_on_its_line() -> None:
    with pytest.raises(Problem, match=r"^line [23] column \d+: not JSON"):
        JsonText('{\n  "a": 1,\n}\n')


@pytest.mark.parametrize(
    ("text", "where"),
    [
        pytest.param('{\n  "a": NaN\n}', "line 2 column 8", id="nan"),
        pytest.param('{\n  "a": [1, -Infinity]\n}', "line 2 column 12", id="infinity-in-a-list"),
    ],
)
def test_a_number_that_only_python_reads_is_refused_by_line_and_column(
    text: str, where: str
) -> None:
    with pytest.raises(Problem, match=f"^{where}: "):
        JsonText(text)


def test_a_number_too_long_for_python_is_refused_like_any_other_fault() -> None:
    with pytest.raises(Problem, match=r"^line 1 column"):
        JsonText('{"a": ' + "9" * 5_000 + "}")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        pytest.param('{"a": 1, "a": 2}', "line 1 column 10: /a exists twice", id="top"),
        pytest.param(
            '{\n  "a": 1,\n  "b": 2,\n\t"a": 1\n}',
            "line 4 column 2: /a exists",
            id="with-equal-values",
        ),
        pytest.param(
            '{"runtimes": {\n "x": {"path": "/a"},\n "x": {"path": "/b"}}}',
            "line 3 column 2: /runtimes/x exists",
            id="nested",
        ),
        pytest.param(
            '{"ab": 1, "\\u0061b": 2}', "line 1 column 11: /ab exists", id="escaped-alike"
        ),
        pytest.param('{"": 1, "": 2}', "line 1 column 9: / exists", id="empty-key"),
        pytest.param(
            '{"a/b": {"~": 1, "~": 2}}', "line 1 column 18: /a~1b/~0 exists", id="pointer"
        ),
    ],
)
def test_a_key_that_is_there_twice_is_refused_where_it_comes_again(text: str, where: str) -> None:
    with pytest.raises(Problem, match=f"^{re.escape(where)}"):
        JsonText(text)


def test_a_key_twice_in_an_object_inside_a_list_is_refused_by_line_and_column() -> None:
    with pytest.raises(Problem, match=r"^line 2 column 12: .*twice"):
        JsonText('{"pools": [\n  {"a": 1, "a": 2}]}')


def test_the_same_key_in_two_objects_is_no_duplicate() -> None:
    document = JsonText('{"a": {"a": 1}, "b": {"a": [{"a": 1}, {"a": 2}]}}')

    assert document.get(("b", "a")) == [{"a": 1}, {"a": 2}]


def test_a_message_shows_no_more_of_a_line_than_the_limit() -> None:
    with pytest.raises(Problem) as caught:
        JsonText('{"a": "' + "x" * 500 + "}")

    assert "x" * 61 not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        pytest.param(("a",), "1.50", id="number-as-written"),
        pytest.param(("b",), "[1,\n 2]", id="list-over-two-lines"),
        pytest.param(("c", "d"), '"\\u00e4"', id="escape-as-written"),
        pytest.param(("c",), '{"d" : "\\u00e4" }', id="object"),
        pytest.param(("c", "x"), None, id="no-such-key"),
        pytest.param(("a", "x"), None, id="through-a-number"),
        pytest.param(("b", "0"), None, id="through-a-list"),
    ],
)
def test_a_value_is_found_as_it_is_written(path: Path, raw: str | None) -> None:
    document = JsonText('{"a": 1.50, "b": [1,\n 2], "c": {"d" : "\\u00e4" }}')

    assert document.raw(path) == raw


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param((), {"a": {"b": [1]}}, id="everything"),
        pytest.param(("a", "b"), [1], id="nested"),
    ],
)
def test_a_value_is_looked_up_by_its_path(path: Path, value: Json) -> None:
    assert lookup({"a": {"b": [1]}}, path) == value


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(("x",), id="no-such-key"),
        pytest.param(("a", "b", "0"), id="through-a-list"),
        pytest.param(("a", "x"), id="no-such-inner-key"),
    ],
)
def test_looking_up_what_is_not_there_names_the_path(path: Path) -> None:
    with pytest.raises(KeyError, match=re.escape(pointer(path))):
        lookup({"a": {"b": [1]}}, path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param(("runtimes", "runsc"), "/runtimes/runsc", id="plain"),
        pytest.param(("a/b", "c~d"), "/a~1b/c~0d", id="slash-and-tilde"),
        pytest.param(("~1",), "/~01", id="what-looks-escaped"),
        pytest.param(("", ""), "//", id="empty-keys"),
        pytest.param((), "", id="the-whole-document"),
    ],
)
def test_a_path_is_written_as_a_json_pointer_and_read_back(path: Path, text: str) -> None:
    assert pointer(path) == text
    assert from_pointer(text) == path


@pytest.mark.parametrize(
    ("at", "position"),
    [
        pytest.param(0, "line 1 column 1", id="start"),
        pytest.param(2, "line 1 column 3", id="the-newline-itself"),
        pytest.param(3, "line 2 column 1", id="next-line"),
        pytest.param(5, "line 3 column 1", id="after-an-empty-line"),
    ],
)
def test_a_position_is_told_as_an_editor_shows_it(at: int, position: str) -> None:
    assert position_of("ab\nc\n\nd", at) == position


def test_a_position_counts_an_empty_first_line() -> None:
    assert position_of("\nab", 2) == "line 2 column 2"


def test_an_escaped_lone_surrogate_is_kept_as_it_is_written() -> None:
    document = JsonText(SURROGATE).set(("b",), True)

    assert document.text == '{"a": "\\ud800", "b": true}'
