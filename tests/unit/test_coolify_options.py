"""The runtime in Custom Docker Options: read as Coolify reads it, set without touching the rest."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.options import (
    LIMIT_CHARACTERS,
    check_text,
    runtime_of,
    with_runtime,
    without_runtime,
)

OTHERS = st.one_of(
    st.sampled_from(
        [
            "--cap-drop=ALL",
            "--init",
            "--hostname=a--runtime=x",
            "--runtimes=x",
            "--runtime-x=y",
            "-v",
            "--gpus 'device=0,1'",
            '--env="--runtime=x"',
            '--env="x --runtime=foo y"',
            "--label='a --runtime=foo '",
            "--entrypoint \"sh -c 'npm start'\"",
            '"--runtime=quoted"',
            "&&",
            "a&&b",
            "--ulimit nofile=1:2",
            "x'--runtime 'y",
        ]
    ),
    st.from_regex(r"--[a-z]{1,6}=[a-zA-Z0-9._\-/=:@,+\[\]{}#%^~*?!]{0,8}", fullmatch=True).filter(
        lambda text: not text.startswith("--runtime=")
    ),
)
RUNTIMES = st.sampled_from(
    [
        *("--runtime=runc", "--runtime runc", '--runtime="runc"', "--runtime='kata.v2'"),
        *("--runtime", "--runtime=", "--runtime \t runsc", "--runtime=-x", '--runtime "run c"'),
    ]
)
WORDS = st.one_of(OTHERS, RUNTIMES)
BLANKS = st.sampled_from([" ", "  ", "\t", " \t "])
EDGES = st.sampled_from(["", "", " ", "\n", "\t\n ", " \r\n"])


@st.composite
def texts(draw: st.DrawFn, words: st.SearchStrategy[str] = WORDS) -> str:
    """What an app may have, with blanks of every kind that Coolify lets through."""
    parts = draw(st.lists(words, max_size=6))
    inner = "".join(f"{draw(BLANKS) if at else ''}{part}" for at, part in enumerate(parts))
    return f"{draw(EDGES)}{inner}{draw(EDGES)}"


@pytest.mark.parametrize(
    ("text", "runtime"),
    [
        pytest.param(None, None, id="null"),
        pytest.param("", None, id="empty"),
        pytest.param("--runtime=runsc", "runsc", id="equals"),
        pytest.param("--runtime runsc", "runsc", id="blank"),
        pytest.param('--runtime="runsc"', "runsc", id="quoted"),
        pytest.param("--runtime  'runsc'", "runsc", id="single-quoted"),
        pytest.param("--cap-drop=ALL --runtime=runsc", "runsc", id="behind-another"),
        pytest.param("--runtime=a --runtime=b", "b", id="the-last-one"),
        pytest.param("--hostname=a--runtime=x", None, id="inside-a-word"),
        pytest.param("--runtimes=x", None, id="longer-name"),
        pytest.param('--env="--runtime=x"', None, id="behind-a-quote"),
        pytest.param('--env="x --runtime=foo y"', "foo", id="inside-quotes"),
        pytest.param('--runtime="runsc', None, id="quote-left-open"),
        pytest.param("--runtime=run/sc", None, id="no-name"),
        pytest.param("--runtime=a-b", "a-b", id="hyphen"),
        pytest.param("--init\n--runtime=x\n", "x", id="lines"),
        pytest.param("--init\u00a0--runtime=x", None, id="a-blank-that-is-none-to-coolify"),
    ],
)
def test_the_runtime_is_read_as_the_patched_function_reads_it(
    text: str | None, runtime: str | None
) -> None:
    assert runtime_of(text) == runtime


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, "--runtime=runsc", id="null"),
        pytest.param("", "--runtime=runsc", id="empty"),
        pytest.param(" \n", "--runtime=runsc", id="blanks"),
        pytest.param("--cap-drop=ALL", "--cap-drop=ALL --runtime=runsc", id="append"),
        pytest.param("--init ", "--init --runtime=runsc", id="append-behind-a-blank"),
        pytest.param("--init\r\n", "--init --runtime=runsc", id="append-behind-a-line"),
        pytest.param("--runtime=runc --init", "--runtime=runsc --init", id="equals"),
        pytest.param("--a  --runtime runc\t--b", "--a  --runtime=runsc\t--b", id="blank"),
        pytest.param('--runtime="runc"', "--runtime=runsc", id="quoted"),
        pytest.param("--runtime runsc --init", "--runtime runsc --init", id="as-it-is"),
        pytest.param('--runtime="runsc"', '--runtime="runsc"', id="as-it-is-quoted"),
        pytest.param(
            "--a --runtime=x --b --runtime y  --c", "--a --runtime=runsc --b  --c", id="several"
        ),
        pytest.param("--runtime=runsc --runtime=runc", "--runtime=runsc", id="another-wins"),
        pytest.param("--runtime --init", "--runtime=runsc --init", id="without-a-value"),
        pytest.param("--runtime= --init", "--runtime=runsc --init", id="with-an-empty-one"),
        pytest.param(
            "--hostname=a--runtime=x", "--hostname=a--runtime=x --runtime=runsc", id="inside-a-word"
        ),
        pytest.param("--runtimes=x", "--runtimes=x --runtime=runsc", id="longer-name"),
        pytest.param(
            '--env="--runtime=x"', '--env="--runtime=x" --runtime=runsc', id="quoted-value"
        ),
        pytest.param(
            '--runtime=a --env="x --runtime=foo y" --b',
            '--env="x --runtime=foo y" --b --runtime=runsc',
            id="something-quoted-wins",
        ),
    ],
)
def test_only_the_runtime_is_changed(before: str | None, after: str) -> None:
    assert with_runtime(before, "runsc") == after


@given(texts(), st.sampled_from(["runsc", "runsc2", "run.sc_x"]))
@example('--env="x --runtime=foo y"', "runsc")
@example("--runtime=runsc --label='a --runtime=foo '", "runsc")
def test_coolify_takes_what_was_set(text: str, runtime: str) -> None:
    assert runtime_of(with_runtime(text, runtime)) == runtime


@given(texts())
def test_setting_it_again_changes_nothing(text: str) -> None:
    once = with_runtime(text, "runsc")

    assert with_runtime(once, "runsc") == once


@given(texts(OTHERS))
def test_every_other_option_stays_to_the_byte(text: str) -> None:
    after = with_runtime(text, "runsc")

    assert after.endswith("--runtime=runsc")
    assert after.removesuffix("--runtime=runsc").rstrip() == text.rstrip()
    assert without_runtime(after).rstrip() == text.rstrip()


@given(st.lists(st.one_of(OTHERS, RUNTIMES), max_size=8))
def test_the_other_options_keep_their_order_whatever_is_set(words: list[str]) -> None:
    # A word of its own could be taken for the value of a --runtime without one.
    words = [word for word in words if word.startswith("-")]
    others = [word for word in words if word.split("=")[0].split()[0] != "--runtime"]

    after = with_runtime(" ".join(words), "runsc")

    assert without_runtime(after) == " ".join(others)


@given(texts())
def test_what_is_set_is_what_coolify_lets_through(text: str) -> None:
    after = with_runtime(text, "runsc")

    check_text(after)
    assert "\n" not in after.strip(" \t\r\n")


@given(texts())
def test_no_option_for_an_address_is_made(text: str) -> None:
    assert ("--ip" in with_runtime(text, "runsc")) == ("--ip" in text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("--env=a;b", "';'", id="semicolon"),
        pytest.param("--env=$HOME", "'$'", id="dollar"),
        pytest.param('--env="$HOME"', 'a " ', id="dollar-in-quotes"),
        pytest.param("--a & --b", "'&'", id="ampersand"),
        pytest.param("--a | --b", "'|'", id="pipe"),
        pytest.param("--a\n--b", "a newline", id="line"),
        pytest.param("--a=(b)", "'('", id="bracket"),
        pytest.param("--a=b\\c", "'\\\\'", id="backslash"),
        pytest.param("--a='b", "a ' ", id="open-quote"),
        pytest.param("--a=ü", "'ü'", id="umlaut"),
    ],
)
def test_a_text_that_coolify_would_refuse_is_not_written_anew(text: str, named: str) -> None:
    with pytest.raises(Problem) as refused:
        with_runtime(text, "runsc")

    assert f"that contain {named}" in str(refused.value)


def test_a_text_may_be_as_long_as_coolify_takes() -> None:
    text = "--label=" + "x" * (LIMIT_CHARACTERS - len("--label= --runtime=runsc"))

    assert len(with_runtime(text, "runsc")) == LIMIT_CHARACTERS
    with pytest.raises(Problem, match="limit of 2000 characters, got 2001 characters"):
        with_runtime(f"{text}x", "runsc")


def test_a_long_text_that_has_the_runtime_is_left_as_it_is() -> None:
    text = "--runtime=runsc --label=" + "x" * LIMIT_CHARACTERS

    assert with_runtime(text, "runsc") == text


def test_a_hostile_text_is_judged_at_once() -> None:
    text = "a" * 20000 + ";"

    with pytest.raises(Problem):
        with_runtime(text, "runsc")


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param("run-sc", id="hyphen"),
        pytest.param("", id="empty"),
        pytest.param("a b", id="blank"),
        pytest.param("--ip", id="option"),
        pytest.param("runsc\n", id="line"),
    ],
)
def test_a_name_that_coolify_would_cut_is_refused(runtime: str) -> None:
    with pytest.raises(Problem, match="cannot use this name of a runtime"):
        with_runtime("--init", runtime)
