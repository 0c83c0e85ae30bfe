"""What Coolify's function makes of Custom Docker Options with our lines in it, old and new."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.coolify.patcher import Tree
from tests.coolify.sources import SOURCES, UNPATCHED

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
RUNTIMES = ["runsc", "runsc_hostinet", "r", "7.1", "gvisor-2"]
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
        runtime, place = chance.choice(RUNTIMES), chance.randint(0, len(words))
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
    answers = ask(variant, list(RUNTIME.values()), True)

    found = {name: told["answer"]["runtime"] for name, told in zip(RUNTIME, answers, strict=True)}
    expected = {**dict.fromkeys(RUNTIME, "runsc"), "hyphen": "runsc-7"}
    assert found == expected
    assert answers[0]["answer"] == {"runtime": "runsc"}


@each_variant
def test_what_is_no_runtime_is_none(ask: Ask, variant: str) -> None:
    texts = list(NO_RUNTIME.values())

    answers = ask(variant, texts, True)

    assert answers == ask(variant, texts, False)
    assert [told["answer"] for told in answers[:2]] == [[], []]


@each_variant
def test_another_option_is_handed_on_too(ask: Ask, variant: str) -> None:
    (told,) = ask(variant, ["--cap-drop=ALL --runtime=runsc"], True)

    assert told["answer"]["runtime"] == "runsc"
    assert "ALL" in json.dumps(told["answer"]["cap_drop"])
    assert set(told["answer"]) == {"cap_drop", "runtime"}


@each_variant
def test_other_options_mean_what_they_meant(ask: Ask, variant: str) -> None:
    texts = [" ".join(words) for words in _generated()]

    ours = [_split(told) for told in ask(variant, texts, True)]

    theirs = [_split(told) for told in ask(variant, texts, False)]
    assert [rest for rest, _ in ours] == [rest for rest, _ in theirs]
    assert len({rest for rest, _ in ours}) > 40  # most are of some use


@each_variant
def test_other_options_mean_what_they_meant_beside_a_runtime(ask: Ask, variant: str) -> None:
    asked = _with_runtime(_generated())
    texts = [text for text, _ in asked]

    ours = [_split(told) for told in ask(variant, texts, True)]

    theirs = [_split(told) for told in ask(variant, texts, False)]
    assert [rest for rest, _ in ours] == [rest for rest, _ in theirs]
    worked = [number for number, (rest, _) in enumerate(theirs) if '"error"' not in rest]
    assert len(worked) >= 78  # that PHP 8.2 accepts; 8.4 accepts more
    wanted = {texts[number]: asked[number][1] for number in worked}
    assert {texts[number]: ours[number][1] for number in worked} == wanted
