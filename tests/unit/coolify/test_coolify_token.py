"""The token of Coolify's API: read from where nobody else reads, shown nowhere."""

import copy
import os
import pickle
from pathlib import Path

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.token import NoToken, Token, read_token
from tests.table import table

SECRET = "17|aVerySecretTokenOfSomebody"  # noqa: S105 (made up)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that holds the token, and that only its owner reads."""
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\nmade for the deploys\n")
    path.chmod(0o600)
    return path


def test_it_is_read_from_the_environment_before_the_first_line_of_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(file.parent))

    assert read_token({"COOLIFY_TOKEN": " 18|other\n"}, str(file)).reveal() == "18|other"
    assert read_token({"COOLIFY_TOKEN": ""}, str(file)).reveal() == SECRET
    assert read_token({}, "~/token").reveal() == SECRET
    with pytest.raises(NoToken, match=r"set COOLIFY_TOKEN .* or gvisor_coolify_token_file"):
        read_token({}, None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601], ids=oct)
def test_a_file_that_others_can_use_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)

    with pytest.raises(
        Problem, match=r"others can read .* \(mode 6[0-9]{2}\).*chmod 600"
    ) as refused:
        read_token({}, str(file))

    assert SECRET not in str(refused.value)


@table(
    "content",
    empty=b"",
    empty_line_first=f"\n{SECRET}\n".encode(),
    blank_inside=f"Bearer {SECRET}\n".encode(),
    not_ascii=f"{SECRET}ü\n".encode(),
    not_printable=f"{SECRET}\0\n".encode(),
)
def test_a_file_without_a_token_is_refused_and_not_shown(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(Problem, match="is empty or contains a space") as refused:
        read_token({}, str(file))

    assert SECRET not in repr(refused.value)
    assert refused.value.__context__ is None


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    for path, why in (
        (f"{tmp_path}/none", "No such file"),
        (f"{tmp_path}", "is not a regular file"),
        (f"{tmp_path}/pipe", "is not a regular file"),
        ("a\0b", "not a path"),
    ):
        with pytest.raises(Problem, match=why):
            read_token({}, path)


def test_nothing_shows_it() -> None:
    token = Token(SECRET)

    shown = f"{token} {token!r} {token!s} {[token]} {vars(type(token))} {token!s:>40}"

    assert SECRET not in shown
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not written anywhere"):
            write(token)
