"""``ports.sh``: published ports are held open, and nothing of that stays, whatever fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from tests.unit.shells import run, stub, toolbox

CHAIN = """table ip docker-bridges {
	chain nat-prerouting-and-output {
		iifname != "br-1" tcp dport 8080 counter dnat to 172.19.0.2:80 comment "DNAT"
		fib daddr type local counter accept
	}
}"""
# Tables are files; what was loaded is kept.
NFT = """
case "$*" in
    "-s list chain ip docker-bridges "*) cat @/chain ;;
    "list table "*) [ -e "@/table.$3" ] ;;
    "-f "*) [ ! -e @/fails ] && cat "$2" > "@/loaded" && touch @/table.ip ;;
    "delete table "*) [ ! -e @/fails ] && rm "@/table.$3" ;;
    *) exit 1 ;;
esac
"""
RULE = 'iifname != "br-1" tcp dport 8080 counter dnat to 172.19.0.2:80 comment "DNAT"'


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with an nft, on which Docker publishes a port, and no iptables."""
    path = toolbox(tmp_path / "bin", "rm", "touch")
    stub(path, "nft", NFT.replace("@", str(tmp_path)))
    (tmp_path / "chain").write_text(CHAIN)
    return path


def told(tools: Path, command: str, firewall: str = "nftables") -> list[str]:
    """What a command of it notes, and "failed" if it fails."""
    text = script("daemon_json/ports", work=str(tools.parent), firewall=firewall)
    shell = f"{text}\nnote() {{ printf '%s\\n' \"$*\"; }}\n{command} || echo failed\n"
    ran = run(shell, path=tools)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_what_docker_publishes_is_held_and_let_go_again(tools: Path) -> None:
    held = told(tools, "hold_ports")
    rules = (tools.parent / "loaded").read_text()
    released = told(tools, "release_ports")

    assert held == released == []
    assert RULE in rules
    assert "counter accept" not in rules
    assert rules.count("ip daddr != 127.0.0.0/8 fib daddr type local jump held") == 2
    assert not (tools.parent / "table.ip").exists()


def test_a_table_that_is_there_holds_more_than_a_docker_that_is_starting(tools: Path) -> None:
    told(tools, "hold_ports")
    (tools.parent / "chain").write_text(CHAIN.replace("8080", "9090"))

    assert told(tools, "hold_ports") == []
    assert "8080" in (tools.parent / "loaded").read_text()


def test_docker_with_iptables_has_nothing_in_nftables(tools: Path) -> None:
    assert told(tools, "hold_ports", "iptables") == []
    assert not (tools.parent / "loaded").exists()


def test_what_cannot_be_held_is_noted(tools: Path) -> None:
    (tools.parent / "fails").touch()

    (said,) = told(tools, "hold_ports")

    assert said.startswith("published ports could not be held open with nft ")


def test_a_node_without_nft_is_noted(tools: Path) -> None:
    (tools / "nft").unlink()

    (said,) = told(tools, "hold_ports")

    assert said.startswith("published ports could not be held open with nft ")
    assert told(tools, "release_ports") == []


def test_what_stays_is_no_success(tools: Path) -> None:
    told(tools, "hold_ports")
    (tools.parent / "fails").touch()

    assert told(tools, "release_ports") == ["failed"]


def test_what_is_said_of_generations_is_no_variable_of_it(tools: Path) -> None:
    assert told(tools, "kept=', generation 7'; release_ports; echo \"$kept\"") == [", generation 7"]
