"""What a daemon.json must be, and that changes are cut into its text, to the byte."""

import json
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
from tests.table import table


@table(
    "text, where",
    only_a_mark=("\ufeff", "line 1 column 1: the file begins with a byte order mark"),
    byte_order_mark=('\ufeff{"a": 1}', "line 1 column 1: the file begins with a byte order"),
    a_list=("[]", "line 1 column 1: the top level must be an object"),
    null=("null", "line 1 column 1: the top level must be an object"),
    a_string=('"x"', "line 1 column 1: the top level must be an object"),
    nonsense=("nonsense", "line 1 column 1: not JSON"),
    missing_comma=('{\n  "a": 1\n  "b": 2\n}', "line 3 column 3: not JSON"),
    list_not_closed=('{\n\t"a": [1, 2\n}\n', "line 3 column 1: not JSON"),
    single_quotes=("{'a': 1}", "line 1 column 2: not JSON"),
    a_comment=('{\n  // no\n  "a": 1\n}', "line 2 column 3: not JSON"),
    two_documents=('{"a": 1}\n{"b": 2}', "line 2 column 1: not JSON"),
    newline_in_a_string=('{"a": "x\n"}', "line 1 column 9: not JSON"),
    crlf=('{\r\n  "a": 1,\r\n  b: 2\r\n}', "line 3 column 3: not JSON"),
    unicode_before=('{"gr\u00fc\u00df": ja}', "line 1 column 10: not JSON"),
    not_closed=('{"a": 1', "line 1 column 8: not JSON"),
    not_closed_then_newline=('{"a": 1\n', "line 2 column 1: not JSON"),
    not_closed_then_crlf=('{"a": 1\r\n', "line 2 column 1: not JSON"),
    cut_off_inside=('{\n  "a": {\n', "line 3 column 1: not JSON"),
    nested_too_deep=('{"a":' + "[" * 100_000, "line 1 column 1: too many"),
    after_unicode_separators=('{"a": "\u2028\u2028",\n7}', "line 2 column 1: not JSON"),
    number_that_only_python_reads=('{\n  "a": NaN\n}', "line 2 column 8: "),
    and_in_a_list=('{\n  "a": [1, -Infinity]\n}', "line 2 column 12: "),
    top=('{"a": 1, "a": 2}', "line 1 column 10: /a exists twice"),
    with_equal_values=('{\n  "a": 1,\n  "b": 2,\n\t"a": 1\n}', "line 4 column 2: /a exists"),
    nested=(
        '{"runtimes": {\n "x": {"path": "/a"},\n "x": {"path": "/b"}}}',
        "line 3 column 2: /runtimes/x exists",
    ),
    twice_in_a_list=('{"b": [\n  {"a": 1, "a": 2}]}', "line 2 column 12: /b/a exists twice"),
    escaped_alike=('{"ab": 1, "\\u0061b": 2}', "line 1 column 11: /ab exists"),
    empty_key=('{"": 1, "": 2}', "line 1 column 9: / exists"),
    pointer=('{"a/b": {"~": 1, "~": 2}}', "line 1 column 18: /a~1b/~0 exists"),
    number_too_long_for_python=('{"a": ' + "9" * 5_000 + "}", "line 1 column"),
)
def test_what_is_no_json_object_or_has_a_key_twice_is_refused_by_line_and_column(
    text: str, where: str
) -> None:
    with pytest.raises(Problem, match=f"^{re.escape(where)}"):
        JsonText(text)


@table(
    "text, got",
    the_line=('{\n  "a": 1\n  "b": 2\n}', 'got "b": 2; correct the file by hand'),
    the_end=('{"a": 1\n', "got the end of the file; correct the file by hand"),
    unicode_separates_lines_too=('{"a": "\u2028\u2028",\n7}', ", got 7}; "),
)
def test_what_is_no_json_is_shown_by_its_line(text: str, got: str) -> None:
    with pytest.raises(Problem, match=re.escape(got)):
        JsonText(text)


def test_a_trailing_comma_is_refused_on_its_line() -> None:
    with pytest.raises(Problem, match=r"^line [23] column \d+: not JSON"):
        JsonText('{\n  "a": 1,\n}\n')


def test_the_same_key_in_two_objects_is_no_duplicate() -> None:
    document = JsonText('{"a": {"a": 1}, "b": {"a": [{"a": 1}, {"a": 2}]}}')

    assert document.get(("b", "a")) == [{"a": 1}, {"a": 2}]


def test_a_message_shows_no_more_of_a_line_than_the_limit() -> None:
    with pytest.raises(Problem) as caught:
        JsonText('{"a": "' + "x" * 500 + "}")

    assert "x" * 61 not in str(caught.value)


@table(
    "path, raw",
    number_as_written=(("a",), "1.50"),
    list_over_two_lines=(("b",), "[1,\n 2]"),
    escape_as_written=(("c", "d"), '"\\u00e4"'),
    object=(("c",), '{"d" : "\\u00e4" }'),
    no_such_key=(("c", "x"), None),
    through_a_number=(("a", "x"), None),
    through_a_list=(("b", "0"), None),
)
def test_a_value_is_found_as_it_is_written(path: Path, raw: str | None) -> None:
    assert JsonText('{"a": 1.50, "b": [1,\n 2], "c": {"d" : "\\u00e4" }}').raw(path) == raw


@table("path, value", everything=((), {"a": {"b": [1]}}), nested=(("a", "b"), [1]))
def test_a_value_is_looked_up_by_its_path(path: Path, value: Json) -> None:
    assert lookup({"a": {"b": [1]}}, path) == value


@table(
    "path",
    no_such_key=("x",),
    through_a_list=("a", "b", "0"),
    no_such_inner_key=("a", "x"),
)
def test_looking_up_what_is_not_there_names_the_path(path: Path) -> None:
    with pytest.raises(KeyError, match=re.escape(pointer(path))):
        lookup({"a": {"b": [1]}}, path)


@table(
    "path, text",
    plain=(("runtimes", "runsc"), "/runtimes/runsc"),
    slash_and_tilde=(("a/b", "c~d"), "/a~1b/c~0d"),
    what_looks_escaped=(("~1",), "/~01"),
    empty_keys=(("", ""), "//"),
    the_whole_document=((), ""),
)
def test_a_path_is_written_as_a_json_pointer_and_read_back(path: Path, text: str) -> None:
    assert pointer(path) == text
    assert from_pointer(text) == path


@table(
    "at, position",
    start=(0, "line 1 column 1"),
    the_newline_itself=(2, "line 1 column 3"),
    next_line=(3, "line 2 column 1"),
    after_an_empty_line=(5, "line 3 column 1"),
)
def test_a_position_is_told_as_an_editor_shows_it(at: int, position: str) -> None:
    assert position_of("ab\nc\n\nd", at) == position


def test_half_of_a_surrogate_pair_is_written_as_an_escape() -> None:
    text = JsonText("{}").set(("\ud800",), {"a": "\udfff"}).text

    assert json.loads(text.encode()) == {"\ud800": {"a": "\udfff"}}


def test_an_escaped_lone_surrogate_is_kept_as_it_is_written() -> None:
    assert JsonText('{"a": "\\ud800"}').set(("b",), True).text == '{"a": "\\ud800", "b": true}'


TABS = '{\n\t"dns":\t["1.1.1.1"],\n\t"runtimes" : {\n\t\t"x": {"path": "/x"}\n\t}\n}'


@table(
    "before, path, value, after",
    two_spaces=('{\n  "a": 1\n}\n', ("b",), True, '{\n  "a": 1,\n  "b": true\n}\n'),
    tabs=('{\n\t"a": 1\n}', ("b",), "x", '{\n\t"a": 1,\n\t"b": "x"\n}'),
    crlf=(
        '{\r\n   "a": 1\r\n}\r\n',
        ("b",),
        {"c": 1},
        '{\r\n   "a": 1,\r\n   "b": {\r\n      "c": 1\r\n   }\r\n}\r\n',
    ),
    inline=('{"a": 1}', ("b",), {"c": 1}, '{"a": 1, "b": {"c": 1}}'),
    unicode_in_an_object=(
        '{\n "a": 1\n}',
        ("b",),
        {"c": "\u00e4"},
        '{\n "a": 1,\n "b": {\n  "c": "\u00e4"\n }\n}',
    ),
    indented_braces=("  {}", ("a",), 1, '  {\n    "a": 1\n}'),
    empty_line_before=("\n{}", ("a",), 1, '\n{\n    "a": 1\n}'),
    empty=("{}\n", ("a",), False, '{\n    "a": false\n}\n'),
    empty_over_two_lines=("{\n}\n", ("a",), 1, '{\n    "a": 1\n}\n'),
    nothing=("", ("a",), 1, '{\n    "a": 1\n}\n'),
    space=(" \t\r\n", ("a", "b"), 1, '{\n    "a": {\n        "b": 1\n    }\n}\n'),
    parents_are_made=(
        '{\n  "a": 1\n}',
        ("b", "c", "d"),
        None,
        '{\n  "a": 1,\n  "b": {\n    "c": {\n      "d": null\n    }\n  }\n}',
    ),
    into_an_empty_object=(
        '{\n  "r": {}\n}',
        ("r", "x"),
        {"path": "/x"},
        '{\n  "r": {\n    "x": {\n      "path": "/x"\n    }\n  }\n}',
    ),
    beside_an_inline_sibling=(
        TABS,
        ("runtimes", "y"),
        {"path": "/y"},
        TABS.replace('"/x"}', '"/x"},\n\t\t"y": {\n\t\t\t"path": "/y"\n\t\t}'),
    ),
    into_an_inline_object=(
        '{"r": {"x": 1}, "z": 2}',
        ("r", "y"),
        {"p": 1},
        '{"r": {"x": 1, "y": {"p": 1}}, "z": 2}',
    ),
    unicode=(
        '{\n  "a": 1\n}',
        ("gr\u00fc\u00df",),
        "\u00e4\u2028\n",
        '{\n  "a": 1,\n  "gr\u00fc\u00df": "\u00e4\u2028\\n"\n}',
    ),
)
def test_a_new_key_is_last_and_in_style(before: str, path: Path, value: Json, after: str) -> None:
    assert JsonText(before).set(path, value).text == after


@table(
    "before, path, value, after",
    inline=('{"a" :1 ,"b":2}', ("a",), True, '{"a" :true ,"b":2}'),
    an_object_by_a_list=('{"a": {"x": 1},\n  "b": 2\n}', ("a",), [], '{"a": [],\n  "b": 2\n}'),
    a_number_by_an_object=(
        '{\n  "a": 1,\n  "b": 2\n}',
        ("a",),
        {"x": {"y": 1}},
        '{\n  "a": {\n    "x": {\n      "y": 1\n    }\n  },\n  "b": 2\n}',
    ),
    a_key_written_with_an_escape=('{"\\u0061": 1}', ("a",), 2, '{"\\u0061": 2}'),
    braces_in_text=('{"a": "}", "b": "{"}', ("b",), 1, '{"a": "}", "b": 1}'),
    an_empty_object=('{"a":{}}', ("a",), {}, '{"a":{}}'),
)
def test_an_old_key_changes_its_value(before: str, path: Path, value: Json, after: str) -> None:
    assert JsonText(before).set(path, value).text == after


def test_a_value_can_be_put_back_as_it_was_once_written() -> None:
    document = JsonText('{"a": true, "b": 2}')

    document = document.set(("a",), 1.5, raw="1.50e0")

    assert document.text == '{"a": 1.50e0, "b": 2}'


@table(
    "before, path, after",
    first=('{"a": 1, "b": 2, "c": 3}', ("a",), '{"b": 2, "c": 3}'),
    middle=('{"a": 1, "b": 2, "c": 3}', ("b",), '{"a": 1, "c": 3}'),
    last=('{"a": 1, "b": 2, "c": 3}', ("c",), '{"a": 1, "b": 2}'),
    only=('{ "a": 1 }', ("a",), "{}"),
    crlf=('{\r\n\t"a": 1,\r\n\t"b": 2\r\n}\r\n', ("b",), '{\r\n\t"a": 1\r\n}\r\n'),
    nested=(
        '{\n  "r": {\n    "x": {"p": 1},\n    "y": 2\n  }\n}',
        ("r", "x"),
        '{\n  "r": {\n    "y": 2\n  }\n}',
    ),
    not_there=('{"a": [1, {"b": 2}]}', ("a", "b"), '{"a": [1, {"b": 2}]}'),
)
def test_a_key_is_removed_with_its_comma_alone(before: str, path: Path, after: str) -> None:
    assert JsonText(before).remove(path).text == after


@table(
    "text, path, got",
    null=('{"r": null}', ("r", "x"), "null"),
    a_list=('{"r": []}', ("r", "x"), "[]"),
    an_empty_key=('{"r": 0}', ("r", ""), "0"),
    deeper=('{"r": {"x": "y"}}', ("r", "x", "z"), '"y"'),
)
def test_a_path_through_what_is_no_object_is_refused_by_its_pointer(
    text: str, path: Path, got: str
) -> None:
    with pytest.raises(Problem, match=rf"^/r.* must be an object, got {re.escape(got)}$"):
        JsonText(text).set(path, 1)


@table(
    "text",
    empty="{}",
    inline='{"a": 1}',
    tabs='{\n\t"a": 1\n}\n',
    odd_indentation='  {\n     "a" : 1\n   }  \n\n',
    newlines_around_the_colon='{"a"\n:\n1}',
    brace_on_the_same_line='{\n"a": 1}',
    newline_deeper_only='{"a": {"x": 1\n}}',
)
def test_removing_what_was_added_gives_the_same_bytes(text: str) -> None:
    document = JsonText(text).set(("new",), {"x": [1]}).set(("r", "y"), "\u00e4")

    document = document.remove(("r",)).remove(("new",))

    assert document.text == text


def test_a_change_makes_a_new_document_and_leaves_the_old_one() -> None:
    old = JsonText('{"a": 1}')

    new = old.set(("a",), 2)

    assert (old.text, old.value) == ('{"a": 1}', {"a": 1})
    assert (new.text, new.value) == ('{"a": 2}', {"a": 2})
