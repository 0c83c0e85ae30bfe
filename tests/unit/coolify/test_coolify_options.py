"""The runtime in Custom Docker Options: read as Coolify reads it, set without touching the rest."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

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
from tests.coolify.patcher import Tree
from tests.coolify.sources import SOURCES, UNPATCHED

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
def test_coolify_takes_what_was_set_once(text: str, runtime: str) -> None:
    once = with_runtime(text, runtime)

    assert runtime_of(once) == runtime
    assert with_runtime(once, runtime) == once
    check_text(once)
    assert "\n" not in once.strip(" \t\r\n")
    assert ("--ip" in once) == ("--ip" in text)


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
        pytest.param("a" * 20000 + ";", "';'", id="hostile"),
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


NAMES = [
    *("--cap-add", "--cap-drop", "--security-opt", "--sysctl", "--device", "--ulimit"),
    *("--init", "--privileged", "--ip", "--ip6", "--shm-size", "--dns", "--gpus", "--hostname"),
    *("--entrypoint", "--memory", "--runtime-of", "--no-runtime", "-v"),
]
VALUES = [
    *("", "", "ALL", "NET_ADMIN,SYS_TIME", "net.core.somaxconn=1024", "/dev/a:/dev/b", "nofile=5"),
    *("nofile=1024:2048", "no-new-privileges:true", "128m", "10.0.0.7", "fd00::7", "all", "0"),
    *("device=0,1", '"device=GPU-a1"', "web-1", "a--runtime=x", '"sh -c \\"echo a\\""', "'a b'"),
    *('"', "true", "runsc", "--runtime", "ü", "a\tb"),
]

NAMED = ["runsc", "runsc_hostinet", "r", "7.1", "gvisor-2"]
FORMS = ["--runtime={}", "--runtime {}", '--runtime="{}"', "--runtime='{}'", "--runtime   {}"]

# "=" and a space are what the parser takes for a separator, and what a user types by mistake.
SEPARATORS = ["=", "=", " ", "  ", ""]
NO_RUNTIME: dict[str, str | None] = {
    "none": None,
    "empty": "",
    "within-a-value": "--hostname=a--runtime=x",
    "without-a-value": "--runtime",
    "an-option-for-a-value": "--runtime --init",
    "an-empty-value": "--runtime= --init",
    "a-longer-option": "--runtimes=runsc",
    "one-quote": '--runtime="runsc',
    "two-kinds-of-quote": "--runtime=\"runsc'",
    "a-path": "--runtime=/usr/bin/runsc",
    "a-name-and-more": "--runtime=runsc/x",
    "a-quote-behind": '--runtime=runsc"',
    "one-hyphen": "-runtime=runsc",
}
RUNTIME: dict[str, str] = {
    "equals": "--runtime=runsc",
    "space": "--runtime runsc",
    "quotes": '--runtime="runsc"',
    "single-quotes": "--runtime='runsc'",
    "line-end": "--init\n--runtime=runsc\n",
    "hyphen": "--runtime=runsc-7",
    "last-wins": "--runtime=runc --init --runtime runsc",
    "after-a-longer-option": "--runtimes=runc --runtime=runsc",
}

CALLS = """require $argv[1].'/vendor/autoload.php';
set_error_handler(function (int $level, string $message) use (&$warnings): bool {
    $warnings[] = $message;
    return true;
});
foreach (json_decode(stream_get_contents(STDIN)) as $text) {
    $warnings = [];
    try {
        $one = ['answer' => $argv[2]($text)];
    } catch (Throwable $error) {
        $one = ['error' => $error->getMessage()];
    }
    $told[] = [...$one, 'warnings' => $warnings];
}
echo json_encode($told);
"""

Ask = Callable[[str, Sequence[str | None], bool], list[Any]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """What a variant answers to every text, with our lines or without, in one process."""

    @cache
    def tree(variant: str, patched: bool) -> Path:
        tree = Tree(tmp_path_factory.mktemp(variant), variant)
        assert not patched or tree.run("apply")["changed"] == "yes"
        return tree.root

    def answers(variant: str, texts: Sequence[str | None], patched: bool) -> list[Any]:
        words = [str(tree(variant, patched)), SOURCES[variant].function]
        ran = subprocess.run(
            ["php", "-r", CALLS, "--", *words],
            input=json.dumps(texts),
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        )
        told: list[Any] = json.loads(ran.stdout)
        assert len(told) == len(texts)
        return told

    return answers


def _generated(count: int = 100) -> list[list[str]]:
    """Options as somebody might type them; the same in every run."""
    chance = random.Random(20260928)  # noqa: S311 - nothing is secret here

    def option() -> str:
        return chance.choice(NAMES) + chance.choice(SEPARATORS) + chance.choice(VALUES)

    return [[option() for _ in range(chance.randint(1, 6))] for _ in range(count)]


def _with_runtime(options: list[list[str]]) -> list[tuple[str, str]]:
    """The same with a runtime at any place among them, and which one that is."""
    chance = random.Random(20260929)  # noqa: S311 - nothing is secret here
    asked = []
    for words in options:
        runtime, place = chance.choice(NAMED), chance.randint(0, len(words))
        form = chance.choice(FORMS).format(runtime)
        asked.append((" ".join([*words[:place], form, *words[place:]]), runtime))
    return asked


def _split(told: Any) -> tuple[str, Any]:
    """The answer without the runtime, in its order, and the runtime."""
    answer = told.get("answer")
    if not isinstance(answer, dict):
        return json.dumps(told), None
    runtime = answer.pop("runtime", None)
    return json.dumps({**told, "answer": answer or []}), runtime


each_variant = pytest.mark.parametrize("variant", [pytest.param(x, id=x) for x in UNPATCHED])


@each_variant
def test_a_runtime_is_handed_on_however_it_is_written(ask: Ask, variant: str) -> None:
    *answers, beside = ask(variant, [*RUNTIME.values(), "--cap-drop=ALL --runtime=runsc"], True)

    found = {name: told["answer"]["runtime"] for name, told in zip(RUNTIME, answers, strict=True)}
    assert found == {**dict.fromkeys(RUNTIME, "runsc"), "hyphen": "runsc-7"}
    assert answers[0]["answer"] == {"runtime": "runsc"}
    assert beside["answer"].pop("runtime") == "runsc"
    assert list(beside["answer"]) == ["cap_drop"]


@each_variant
def test_what_is_no_runtime_is_none(ask: Ask, variant: str) -> None:
    texts = list(NO_RUNTIME.values())

    answers = ask(variant, texts, True)

    assert answers == ask(variant, texts, False)
    assert [told["answer"] for told in answers[:2]] == [[], []]


@each_variant
def test_other_options_mean_what_they_meant(ask: Ask, variant: str) -> None:
    asked = _with_runtime(_generated())
    texts = [*(text for text, _ in asked), *(" ".join(words) for words in _generated())]

    ours = [_split(told) for told in ask(variant, texts, True)]

    theirs = [_split(told) for told in ask(variant, texts, False)]
    assert [rest for rest, _ in ours] == [rest for rest, _ in theirs]
    worked = [at for at in range(len(asked)) if '"error"' not in theirs[at][0]]
    assert len(worked) >= 78  # that PHP 8.2 accepts; 8.4 accepts more
    assert [ours[at][1] for at in worked] == [asked[at][1] for at in worked]
    assert {runtime for _, runtime in ours[len(asked) :]} == {None}
    assert len({rest for rest, _ in ours}) > 40  # most are of some use
