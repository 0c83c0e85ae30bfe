"""The runtime in Custom Docker Options: read as Coolify reads it, set without touching the rest."""

import json
import subprocess
from collections.abc import Sequence
from itertools import product
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
from tests.coolify.sources import NAME, OLD_NAME, UNPATCHED
from tests.table import table

OTHERS = st.one_of(
    st.sampled_from(
        [
            *("--cap-drop=ALL", "--init", "--hostname=a--runtime=x", "--runtimes=x", "-v"),
            *("--runtime-x=y", "--gpus 'device=0,1'", '--env="--runtime=x"', "--ulimit nofile=1:2"),
            *('--env="x --runtime=foo y"', "--label='a --runtime=foo '", "x'--runtime 'y"),
            *("--entrypoint \"sh -c 'npm start'\"", '"--runtime=quoted"', "&&", "a&&b"),
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


# What both ends make of a text: the package, and the function with our lines in it.
TAKEN: dict[str, tuple[str | None, str | None]] = {
    "null": (None, None),
    "empty": ("", None),
    "equals": ("--runtime=runsc", "runsc"),
    "blank": ("--runtime runsc", "runsc"),
    "quoted": ('--runtime="runsc"', "runsc"),
    "single-quoted": ("--runtime  'runsc'", "runsc"),
    "behind-another": ("--cap-drop=ALL --runtime=runsc", "runsc"),
    "the-last-one": ("--runtime=runc --init --runtime runsc", "runsc"),
    "behind-a-longer-name": ("--runtimes=runc --runtime=runsc", "runsc"),
    "inside-a-word": ("--hostname=a--runtime=x", None),
    "without-a-value": ("--runtime", None),
    "an-option-for-a-value": ("--runtime --init", None),
    "an-empty-value": ("--runtime= --init", None),
    "longer-name": ("--runtimes=x", None),
    "one-hyphen": ("-runtime=x", None),
    "behind-a-quote": ('--env="--runtime=x"', None),
    "inside-quotes": ('--env="x --runtime=foo y"', "foo"),
    "quote-left-open": ('--runtime="runsc', None),
    "two-kinds-of-quote": ("--runtime=\"runsc'", None),
    "a-quote-behind": ('--runtime=runsc"', None),
    "a-path": ("--runtime=/usr/bin/runsc", None),
    "no-name": ("--runtime=run/sc", None),
    "hyphen": ("--runtime=a-b", "a-b"),
    "lines": ("--init\n--runtime=x\n", "x"),
    "a-blank-that-is-none-to-coolify": ("--init\u00a0--runtime=x", None),
}


@table("text, runtime", TAKEN)
def test_a_runtime_is_read_as_the_function_reads_it(text: str | None, runtime: str | None) -> None:
    assert runtime_of(text) == runtime


@table(
    "before, after",
    null=(None, "--runtime=runsc"),
    empty=("", "--runtime=runsc"),
    blanks=(" \n", "--runtime=runsc"),
    append=("--cap-drop=ALL", "--cap-drop=ALL --runtime=runsc"),
    append_behind_a_line=("--init\r\n", "--init --runtime=runsc"),
    equals=("--runtime=runc --init", "--runtime=runsc --init"),
    blank=("--a  --runtime runc\t--b", "--a  --runtime=runsc\t--b"),
    quoted=('--runtime="runc"', "--runtime=runsc"),
    as_it_is=("--runtime runsc --init", "--runtime runsc --init"),
    as_it_is_quoted=('--runtime="runsc"', '--runtime="runsc"'),
    several=("--a --runtime=x --b --runtime y  --c", "--a --runtime=runsc --b  --c"),
    another_wins=("--runtime=runsc --runtime=runc", "--runtime=runsc"),
    without_a_value=("--runtime --init", "--runtime=runsc --init"),
    with_an_empty_one=("--runtime= --init", "--runtime=runsc --init"),
    something_quoted_wins=(
        '--runtime=a --env="x --runtime=foo y" --b',
        '--env="x --runtime=foo y" --b --runtime=runsc',
    ),
)
def test_only_the_runtime_is_changed(before: str | None, after: str) -> None:
    assert with_runtime(before, "runsc") == after


@given(texts(), st.sampled_from(["runsc", "runsc2", "run.sc_x"]))
@example('--env="x --runtime=foo y"', "runsc")
@example("--runtime=runsc --label='a --runtime=foo '", "runsc")
def test_coolify_takes_what_was_set_once(text: str, runtime: str) -> None:
    once = with_runtime(text, runtime)

    assert (runtime_of(once), with_runtime(once, runtime)) == (runtime, once)
    check_text(once)
    assert "\n" not in once.strip(" \t\r\n")
    assert ("--ip" in once) == ("--ip" in text)


@given(texts(OTHERS), st.lists(st.one_of(OTHERS, RUNTIMES), max_size=8))
def test_every_other_option_stays_to_the_byte_and_in_order(text: str, words: list[str]) -> None:
    # A word of its own could be taken for the value of a --runtime without one.
    words = [word for word in words if word.startswith("-")]
    others = [word for word in words if word.split("=")[0].split()[0] != "--runtime"]

    after = with_runtime(text, "runsc")

    assert after.endswith("--runtime=runsc")
    assert after.removesuffix("--runtime=runsc").rstrip() == text.rstrip()
    assert without_runtime(after).rstrip() == text.rstrip()
    assert without_runtime(with_runtime(" ".join(words), "runsc")) == " ".join(others)


@table(
    "text, named",
    semicolon=("--env=a;b", "';'"),
    dollar=("--env=$HOME", "'$'"),
    dollar_in_quotes=('--env="$HOME"', 'a " '),
    ampersand=("--a & --b", "'&'"),
    pipe=("--a | --b", "'|'"),
    line=("--a\n--b", "a newline"),
    bracket=("--a=(b)", "'('"),
    backslash=("--a=b\\c", "'\\\\'"),
    open_quote=("--a='b", "a ' "),
    umlaut=("--a=ü", "'ü'"),
    hostile=("a" * 20000 + ";", "';'"),
)
def test_a_text_that_coolify_would_refuse_is_not_written_anew(text: str, named: str) -> None:
    with pytest.raises(Problem) as refused:
        with_runtime(text, "runsc")

    assert f"that contain {named}" in str(refused.value)


def test_a_text_may_be_as_long_as_coolify_takes_and_no_name_that_it_would_cut() -> None:
    text = "--label=" + "x" * (LIMIT_CHARACTERS - len("--label= --runtime=runsc"))

    assert len(with_runtime(text, "runsc")) == LIMIT_CHARACTERS
    with pytest.raises(Problem, match="limit of 2000 characters, got 2001 characters"):
        with_runtime(f"{text}x", "runsc")
    there = f"--runtime=runsc {text}x"
    assert with_runtime(there, "runsc") == there
    for runtime in ("run-sc", "", "a b", "--ip", "runsc\n"):
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

# "=" and a space are what the parser takes for a separator, and what a user types by mistake.
SEPARATORS = ["=", " ", "  ", ""]

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


def answers(tree: Tree, variant: str, texts: Sequence[str | None]) -> list[tuple[str, Any]]:
    """What a variant answers to every text: all but the runtime, in its order, and the runtime."""
    ran = subprocess.run(
        ["php", "-r", CALLS, "--", str(tree.root), OLD_NAME if "beta" in variant else NAME],
        input=json.dumps(texts),
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    return [_split(told) for told in json.loads(ran.stdout)]


def _split(told: Any) -> tuple[str, Any]:
    answer = told.get("answer")
    if not isinstance(answer, dict):
        return json.dumps(told), None
    runtime = answer.pop("runtime", None)
    return json.dumps({**told, "answer": answer or []}), runtime


@pytest.mark.parametrize("variant", UNPATCHED)
def test_the_function_hands_on_what_it_reads_and_other_options_as_without_our_lines(
    tmp_path: Path, variant: str
) -> None:
    alone = ["".join(parts) for parts in product(NAMES, SEPARATORS, VALUES)]
    beside = [f"{text} --runtime gvisor-2" for text in alone]
    beside += [f"--runtime gvisor-2 {text}" for text in alone]
    texts = [*(text for text, _ in TAKEN.values()), *alone, *beside]
    tree = Tree(tmp_path, variant)

    theirs = answers(tree, variant, texts)
    assert tree.run("apply")["changed"] == "yes"
    ours = answers(tree, variant, texts)

    assert [rest for rest, _ in ours] == [rest for rest, _ in theirs]
    taken, with_ours = ours[: len(TAKEN)], ours[-len(beside) :]
    assert {name: runtime for name, (_, runtime) in zip(TAKEN, taken, strict=True)} == {
        name: runtime for name, (_, runtime) in TAKEN.items()
    }
    assert {runtime for _, runtime in ours[len(TAKEN) : -len(beside)]} == {None}
    assert {runtime for rest, runtime in with_ours if '"error"' not in rest} == {"gvisor-2"}
    assert len({rest for rest, _ in ours}) > 40  # most are of some use
