"""Questions to the judge: who gets an answer, and what no container can spoil for others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.judge.docker_files import Undecided
from pyinfra_gvisor.judge.places import Places
from pyinfra_gvisor.judge.preview import in_time
from pyinfra_gvisor.judge.questions import answer
from tests.table import table
from tests.unit.dispatch.judged import ID, Judged


@table(
    "question, code",
    as_asked=("{begin}{sum}\0call\0{call}", b"3"),
    any_judge=("{begin}-\0call\0{call}", b"3"),
    another_judge=("{begin}00000000\0call\0{call}", b""),
    cut=("{begin}{sum}\0call\0{call}x", b""),
    empty=("", b""),
    after_the_lines_of_a_log=("\udc93\udca9tenant{begin}-\0call\0{call}", b""),
    another_kind=("{begin}-\0other\0x\0", b"2"),
    too_few_words=("{begin}-\0call\0x\0", b"2"),
)
def test_only_who_begins_as_we_do_is_answered(tmp_path: Path, question: str, code: bytes) -> None:
    node = Judged(tmp_path)
    words = (node.wrapper["gvisor"], "create", "", "/", node.bundle, "create", ID)
    call = "".join(f"{word}\0" for word in words)
    asked = question.format(begin="pyinfra-gvisor asks\0", sum="0123abcd", call=call)

    said = answer(asked.encode("utf-8", "surrogateescape"), "judge-1-0123abcd", node.paths)

    assert said.partition(b"\n")[0] == code


def test_only_a_runtime_of_ours_has_rules(tmp_path: Path) -> None:
    node = Judged(tmp_path)
    node.container()
    node.spec()
    other = tmp_path / "own"
    other.write_text(node.wrapper["gvisor"].read_text())
    for path in (other, tmp_path / "runtimes" / ".." / "own"):
        node.wrapper["gvisor"] = path

        assert node.create() == f"refused: {path} is not a runtime of pyinfra-gvisor"


def test_no_name_of_a_mount_hides_another_one(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    line = b"9 8 0:%d / %s rw - tmpfs a%sb rw\n"
    table.write_bytes(line % (7, b"/a", b"\r") + line % (8, b"/b", b"\xc2\x85\xe2\x80\xa8\xff"))

    found = Places(str(table)).mounts

    assert [(item.point, item.device) for item in found] == [("/a", "0:7"), ("/b", "0:8")]


def test_lines_that_take_too_long_end_the_answer_and_are_said(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def lines() -> Iterator[str]:
        yield "one"
        yield pipe.read_text()

    made = in_time(lines, 1)

    assert next(made) == "one"
    with pytest.raises(Undecided, match="no decision within 1 s"):
        next(made)
    assert [*in_time(lambda: ("one", "", "two"), 60)] == ["one", "two"]
