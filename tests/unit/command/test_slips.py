"""What people type or write by mistake, and the line that they should write instead."""

from pathlib import Path

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.__main__ import COMMANDS, main
from pyinfra_gvisor.command.fleet import host_entry
from pyinfra_gvisor.command.hints import COMMANDS as OTHER_WORDS
from pyinfra_gvisor.command.hints import OPTIONS
from pyinfra_gvisor.planning.file_mistakes import refuse_mistakes
from tests.arguments import Patch, Printed
from tests.table import table


@table(
    "typed, instead",
    dry=("apply --dry", "pyinfra-gvisor plan"),
    dry_run=("rollback --dry-run", "pyinfra-gvisor plan"),
    status=("status", "pyinfra-gvisor audit"),
    uninstall=("uninstall", "pyinfra-gvisor remove"),
    upgrade=("upgrade", "change gvisor_release in group_data/run.py, then pyinfra-gvisor plan"),
    letters=("aplly -y", "pyinfra-gvisor apply"),
    data=("plan --data a=1", "write it as NAME = VALUE into group_data/run.py"),
    host=("audit --host run-1", "--limit HOST"),
)
def test_a_word_that_people_try_leads_to_ours(typed: str, instead: str, capsys: Printed) -> None:
    code = main(typed.split())

    assert code == 1
    assert f"Instead: {instead}" in capsys.readouterr().err


def test_no_word_of_ours_is_called_a_mistake() -> None:
    assert {*OTHER_WORDS} & {*COMMANDS} == set()
    for text in {*OTHER_WORDS.values(), *OPTIONS.values()}:
        words = text.partition("pyinfra-gvisor ")[2].split()
        assert not words or words[0].strip(":,") in {*COMMANDS, "--help", "--version"}


def test_an_empty_limit_is_refused(tmp_path: Path, monkeypatch: Patch, capsys: Printed) -> None:
    monkeypatch.chdir(tmp_path)

    code = main(["plan", "--limit", ""])

    said = "--limit is empty; write a host or a group, or leave it out for all"
    assert (code, said in capsys.readouterr().err) == (1, True)


@table(
    "text, entry",
    name=("run-1", "run-1"),
    user=("root@run-1", ("run-1", {"ssh_user": "root"})),
    port=("run-1:2222", ("run-1", {"ssh_port": 2222})),
    both=("root@10.0.0.5:22", ("10.0.0.5", {"ssh_user": "root", "ssh_port": 22})),
    address6=("2001:db8::1", "2001:db8::1"),
    address6_and_port=("[2001:db8::1]:22", ("2001:db8::1", {"ssh_port": 22})),
)
def test_a_host_is_taken_as_people_write_it_for_ssh(text: str, entry: object) -> None:
    assert host_entry(text) == entry


@table(
    "text, says",
    bracket=('gvisor_exempt = [{"name": "a"', ":1: '{' was never closed; write the bracket"),
    comma=('run = [\n    "a"  # first\n    "b",\n]', ":2: no comma between this text and the next"),
    in_a_setting=('gvisor_coolify_servers = ["a"\n"b"]', ":1: no comma between this text"),
    quotes=("gvisor_restart = never", ":1: a text without quotes; write it in quotes"),
    host_without_quotes=("run = [run_1]", ":1: a text without quotes; write it in quotes"),
    json=("gvisor_watch = true", ":1: true is no value of Python; write True"),
    hyphen=("gvisor-default = 'sandbox'", "write a setting as gvisor_name = value"),
    comma_in_a_table=('gvisor_egress = {"mode": "report" "docker": False}', "look for a missing"),
)
def test_a_mistake_in_a_file_is_told_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "run.py"
    path.write_text(text)

    with pytest.raises(Problem) as raised:
        refuse_mistakes([], path)

    assert f"{path}:" in str(raised.value)
    assert says in str(raised.value)


@table(
    "text",
    long_text='gvisor_exempt = [{"name": "a", "reason": "one text "\n    "in two lines"}]',
    on_one_line='run = ["a", ("b" "c")]\n',
    three_quotes='run = ["""a\nb"""]\n',
    elsewhere='commands = dict(a=["one && "\n"two"])\nx = d["ab"\n"cd"]\n',
    comprehension="run = [f'run-{n}' for n in range(3)]\n",
    function="import os\nfrom x import y as z\ndef f(a, *b): return a, b, os, z\nrun = f(1)\n",
    star="from x import *\ngvisor_release = names\n",
    given="try:\n    x = 1\nexcept OSError as e:\n    print(e)\ngvisor_release = __file__\n",
    pattern="match x:\n    case {**rest}:\n        pass\ngvisor_release = rest\n",
    taken="gvisor_release = locals()['x']\n",
    deep="x = " + "1 + " * 9000 + "1\n",
)
def test_what_python_reads_is_no_mistake(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.py"
    path.write_text(text)

    refuse_mistakes([tmp_path / "missing.py"], path)


def test_a_value_that_may_be_a_secret_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "all.py").write_text('gvisor_x = ["pa55word"\n"tok"]\n')
    (tmp_path / "run.py").write_text("gvisor_x = pa55word\n")

    for name in ("all.py", "run.py"):
        with pytest.raises(Problem) as raised:
            refuse_mistakes([tmp_path / name])
        assert "pa55word" not in str(raised.value)
