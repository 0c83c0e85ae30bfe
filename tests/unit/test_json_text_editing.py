"""Changes are cut into the text: everything else stays as it was, to the byte."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText, Path

TABS = '{\n\t"dns":\t["1.1.1.1"],\n\t"runtimes" : {\n\t\t"x": {"path": "/x"}\n\t}\n}'


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        pytest.param(
            '{\n  "a": 1\n}\n', ("b",), True, '{\n  "a": 1,\n  "b": true\n}\n', id="two-spaces"
        ),
        pytest.param('{\n\t"a": 1\n}', ("b",), "x", '{\n\t"a": 1,\n\t"b": "x"\n}', id="tabs"),
        pytest.param(
            '{\r\n   "a": 1\r\n}\r\n',
            ("b",),
            {"c": 1},
            '{\r\n   "a": 1,\r\n   "b": {\r\n      "c": 1\r\n   }\r\n}\r\n',
            id="crlf",
        ),
        pytest.param('{"a": 1}', ("b",), {"c": 1}, '{"a": 1, "b": {"c": 1}}', id="inline"),
        pytest.param(
            '{\n "a": 1\n}',
            ("b",),
            {"c": "\u00e4"},
            '{\n "a": 1,\n "b": {\n  "c": "\u00e4"\n }\n}',
            id="unicode-in-an-object",
        ),
        pytest.param("  {}", ("a",), 1, '  {\n    "a": 1\n}', id="indented-braces"),
        pytest.param("\n{}", ("a",), 1, '\n{\n    "a": 1\n}', id="empty-line-before"),
        pytest.param("{}\n", ("a",), False, '{\n    "a": false\n}\n', id="empty"),
        pytest.param("{\n}\n", ("a",), 1, '{\n    "a": 1\n}\n', id="empty-over-two-lines"),
        pytest.param("", ("a",), 1, '{\n    "a": 1\n}\n', id="nothing"),
        pytest.param(
            " \t\r\n", ("a", "b"), 1, '{\n    "a": {\n        "b": 1\n    }\n}\n', id="space"
        ),
        pytest.param(
            '{\n  "a": 1\n}',
            ("b", "c", "d"),
            None,
            '{\n  "a": 1,\n  "b": {\n    "c": {\n      "d": null\n    }\n  }\n}',
            id="parents-are-made",
        ),
        pytest.param(
            '{\n  "r": {}\n}',
            ("r", "x"),
            {"path": "/x"},
            '{\n  "r": {\n    "x": {\n      "path": "/x"\n    }\n  }\n}',
            id="into-an-empty-object",
        ),
        pytest.param(
            TABS,
            ("runtimes", "y"),
            {"path": "/y"},
            TABS.replace('"/x"}', '"/x"},\n\t\t"y": {\n\t\t\t"path": "/y"\n\t\t}'),
            id="beside-an-inline-sibling",
        ),
        pytest.param(
            '{"r": {"x": 1}, "z": 2}',
            ("r", "y"),
            {"p": 1},
            '{"r": {"x": 1, "y": {"p": 1}}, "z": 2}',
            id="into-an-inline-object",
        ),
        pytest.param(
            '{\n  "a": 1\n}',
            ("gr\u00fc\u00df",),
            "\u00e4\u2028\n",
            '{\n  "a": 1,\n  "gr\u00fc\u00df": "\u00e4\u2028\\n"\n}',
            id="unicode",
        ),
    ],
)
def test_a_new_key_comes_last_in_the_files_own_style(
    before: str, path: Path, value: Json, after: str
) -> None:
    assert JsonText(before).set(path, value).text == after


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        pytest.param('{"a" :1 ,"b":2}', ("a",), True, '{"a" :true ,"b":2}', id="inline"),
        pytest.param(
            '{\n  "a": {"x": 1},\n  "b": 2\n}',
            ("a",),
            [],
            '{\n  "a": [],\n  "b": 2\n}',
            id="an-object-by-a-list",
        ),
        pytest.param(
            '{\n  "a": 1,\n  "b": 2\n}',
            ("a",),
            {"x": {"y": 1}},
            '{\n  "a": {\n    "x": {\n      "y": 1\n    }\n  },\n  "b": 2\n}',
            id="a-number-by-an-object",
        ),
        pytest.param(
            '{"\\u0061": 1}', ("a",), 2, '{"\\u0061": 2}', id="a-key-written-with-an-escape"
        ),
        pytest.param('{"a": "}", "b": "{"}', ("b",), 1, '{"a": "}", "b": 1}', id="braces-in-text"),
        pytest.param('{"a":{}}', ("a",), {}, '{"a":{}}', id="an-empty-object"),
    ],
)
def test_a_key_that_is_there_changes_its_value_and_nothing_else(
    before: str, path: Path, value: Json, after: str
) -> None:
    assert JsonText(before).set(path, value).text == after


def test_a_value_can_be_put_back_as_it_was_once_written() -> None:
    document = JsonText('{"a": true, "b": 2}')

    document = document.set(("a",), 1.5, raw="1.50e0")

    assert document.text == '{"a": 1.50e0, "b": 2}'


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        pytest.param('{"a": 1, "b": 2, "c": 3}', ("a",), '{"b": 2, "c": 3}', id="first"),
        pytest.param('{"a": 1, "b": 2, "c": 3}', ("b",), '{"a": 1, "c": 3}', id="middle"),
        pytest.param('{"a": 1, "b": 2, "c": 3}', ("c",), '{"a": 1, "b": 2}', id="last"),
        pytest.param('{ "a": 1 }', ("a",), "{}", id="only"),
        pytest.param(
            '{\r\n\t"a": 1,\r\n\t"b": 2\r\n}\r\n', ("b",), '{\r\n\t"a": 1\r\n}\r\n', id="crlf"
        ),
        pytest.param(
            '{\n  "r": {\n    "x": {"p": 1},\n    "y": 2\n  }\n}',
            ("r", "x"),
            '{\n  "r": {\n    "y": 2\n  }\n}',
            id="nested",
        ),
        pytest.param('{"a": [1, {"b": 2}]}', ("a", "b"), '{"a": [1, {"b": 2}]}', id="not-there"),
    ],
)
def test_a_key_is_removed_with_its_comma_and_nothing_else(
    before: str, path: Path, after: str
) -> None:
    assert JsonText(before).remove(path).text == after


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param('{"r": null}', ("r", "x"), id="null"),
        pytest.param('{"r": []}', ("r", "x"), id="a-list"),
        pytest.param('{"r": 0}', ("r", ""), id="an-empty-key"),
        pytest.param('{"r": {"x": "y"}}', ("r", "x", "z"), id="deeper"),
    ],
)
def test_a_path_through_what_is_no_object_is_refused_by_its_pointer(text: str, path: Path) -> None:
    with pytest.raises(Problem, match=r"^/r.* must be an object, got "):
        JsonText(text).set(path, 1)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{}", id="empty"),
        pytest.param('{"a": 1}', id="inline"),
        pytest.param('{\n\t"a": 1\n}\n', id="tabs"),
        pytest.param('  {\n     "a" : 1\n   }  \n\n', id="odd-indentation"),
        pytest.param('{"a"\n:\n1}', id="newlines-around-the-colon"),
        pytest.param('{\n"a": 1}', id="brace-on-the-same-line"),
        pytest.param('{"a": {"x": 1\n}}', id="newline-deeper-only"),
    ],
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
