"""Every command of "Getting started" and the how-to pages does what its page says, on nodes."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pyinfra_gvisor.releases.lock import DEFAULT
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR
from tests.arguments import Patch
from tests.documented import COMPOSE, HOW_TO, PAGES, START
from tests.node.audits import sh
from tests.node.compose_apps import NODES, OUTSIDE, bring_apps, kept
from tests.node.conftest import LAB, SLOW_KEEPER, lab_of
from tests.node.equipped import equipped, free_port_80
from tests.node.reading_docs import Ran, Reader, Shop, have_image, skips, typed
from tests.node.running import processes
from tests.node.seeing import daemon_json, no_leftovers
from tests.packaging.checkout import ROOT
from tools.lab import FLAVOURS, Lab, LabNode, NodeSpec
from tools.lab.spec import lab_arch
from tools.release.dist import install, write_zipapp

TRIAL = f"{LAB}-trial"
"""The lab that the page itself makes."""

# With python3, as the page about the default runtime asks for.
SPECS = {f"run-{number}.example.com": NodeSpec(equipped("debian-13")) for number in (1, 2, 3)}

DAY_S = 1_700_000_000
"""A time for what is in an archive."""

APPLY_LINES, AUDIT_LINES, MOST_COMMANDS = 40, 40, 12
KEEPERS = 4  # apps with a volume
QUICK_KEEPER = {
    path: (b"[Timer]\nOnUnitActiveSec=\nOnActiveSec=1\nOnUnitActiveSec=2\nAccuracySec=1\n", mode)
    for path, (_, mode) in SLOW_KEEPER.items()
}
"""The page has its reader wait a minute, in which the keeper looks once."""

NOT_RUN = {
    ("getting-started", "make demo"): "takes the whole machine; it is the first thing of .ci/run",
    ("cloud-init", "cloud-init schema --config-file user-data.yaml"): "no cloud-init here; "
    "tests/unit/command/test_front_door_texts.py reads the user data",
    ("cloud-init", "cloud-init status --wait --long"): "lab nodes boot without cloud-init; what it "
    "would do is done to the node",
    ("cloud-init", "tail -n 60 /var/log/cloud-init-output.log"): "as above",
    ("upgrade", "pyinfra-gvisor releases add 20261005.0 --dry-run"): "asks gVisor's bucket and "
    "GitHub; tests/unit/releases/test_releases_command.py asks stand-ins",
    ("air-gapped", "pyinfra-gvisor releases add 20261005.0 --dry-run"): "the same",
    ("air-gapped", "pip download --dest wheels pyinfra-gvisor"): "asks the package index",
    ("air-gapped", "pip install --no-index --find-links wheels pyinfra-gvisor"): "needs the "
    "wheels of the command before; getting-started installs from such a directory here",
    ("air-gapped", "curl …"): "there is no way to gVisor's bucket; the test puts the archive there",
    ("coolify", "…"): "needs Coolify itself, by https; tests/node/test_coolify_end_to_end.py runs "
    "these deploys on a stand-in",
}
"""Why commands cannot run on lab nodes, by page and command, which may be cut at the end."""


@pytest.fixture(scope="module")
def machines() -> Iterator[dict[str, LabNode]]:
    """Nodes that nobody has touched, called as in the pages."""
    with lab_of(f"{LAB}-documented", SPECS) as made:
        for node in made.values():
            free_port_80(node)
            have_image(node)
        yield made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Where packages and releases come from."""
    return Shop.open(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def before(machines: dict[str, LabNode]) -> dict[str, str]:
    """daemon.json of each node, before any command."""
    return {name: daemon_json(node) for name, node in machines.items()}


@pytest.fixture(scope="module")
def reader(
    machines: dict[str, LabNode],
    before: dict[str, str],
    shop: Shop,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Reader]:
    """Somebody who has installed the package in an empty directory."""
    someone = Reader(shop, tmp_path_factory.mktemp("reader"), machines, TRIAL, NOT_RUN)
    someone.carry()
    someone.install()
    yield someone
    Lab(TRIAL).down()


def test_each_reason_is_for_a_command_that_is_there() -> None:
    there = typed([*PAGES])

    assert [key for key in NOT_RUN if not any(skips(one, {key: ""}) for one in there)] == []


@pytest.fixture(scope="module")
def with_apps() -> Iterator[dict[str, LabNode]]:
    """Two nodes with twelve apps of compose."""
    specs = dict.fromkeys(NODES, NodeSpec(equipped("debian-13")))
    with lab_of(f"{LAB}-compose", specs, beside=True) as made:
        for node in made.values():
            free_port_80(node)
            node.put_files(QUICK_KEEPER)
        bring_apps(made)
        yield made


def test_twelve_compose_apps_are_in_gvisor_after_one_page_and_twelve_commands(
    reader: Reader, with_apps: dict[str, LabNode], tmp_path: Path, monkeypatch: Patch
) -> None:
    newcomer = reader.somewhere_else(tmp_path / "home", with_apps)
    before = kept(with_apps)
    monkeypatch.setenv("COLUMNS", "80")

    newcomer.follow([COMPOSE])

    said = shown_on(80, newcomer.ran)
    applied, audited = (" ".join(said[name].split()) for name in ("apply", "audit"))
    assert "gVisor works on 2 of 2 hosts. 0 of 12 containers run in gVisor" in applied
    # A slow node is told of while it is waited for: lines of time, not of the plan.
    timeless = re.sub(r"^ +waiting for [^;]*;[^;]*? s\n", "", said["apply"], flags=re.MULTILINE)
    assert len(timeless.splitlines()) <= APPLY_LINES, timeless
    assert "compliant: 2 of 2 hosts are compliant. 9 of 12 containers run in gVisor." in audited
    assert len(said["audit"].partition("Disconnecting")[2].splitlines()) <= AUDIT_LINES
    outside = {
        name
        for node in with_apps.values()
        for name, process in processes(node).items()
        if not sh(node, f"readlink /proc/{process}/exe").startswith(RELEASES_DIR)
    }
    assert outside == {*OUTSIDE}
    assert len(newcomer.ran) <= MOST_COMMANDS
    assert kept(with_apps) == before
    assert len(before) == KEEPERS
    monkeypatch.setenv("COLUMNS", "120")
    again = ("doctor", "plan", "infrastructure", "apply -y", "audit")
    shown_on(120, [newcomer.type(f"pyinfra-gvisor {words}") for words in again])


def shown_on(columns: int, ran: Sequence[Ran]) -> dict[str, str]:
    """Keep what commands have printed at this width as files; return it by command."""
    said = {one.command.text.split()[1]: one.text for one in ran}
    directory = Path("reports/compose-page", str(columns))
    directory.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(ran, 1):
        name = f"{number:02}-{one.command.text.split()[1]}.txt"
        (directory / name).write_text(f"$ {one.command.text}\n{one.text}")
    return said


def test_getting_started_leads_from_an_empty_directory_to_a_proven_node(
    reader: Reader, machines: dict[str, LabNode]
) -> None:
    ran = reader.follow([START])

    said = {one.command.text: one.text for one in ran}
    assert "Starting gVisor" in next(text for typed, text in said.items() if "dmesg" in typed)
    assert "gVisor works on 1 of 1 host" in said["pyinfra-gvisor apply"]
    assert "changed, then proven" not in said["pyinfra-gvisor apply -y"]
    assert no_leftovers(machines["run-1.example.com"]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", HOW_TO)
def test_a_how_to_page_does_what_it_says(reader: Reader, name: str) -> None:
    reader.follow([*PAGES[: 2 + HOW_TO.index(name)]])

    ran = {one.command.text for one in reader.ran}
    page = typed([PAGES[1 + HOW_TO.index(name)]])
    assert {one.text for one in page if not skips(one, NOT_RUN)} <= ran


@pytest.mark.slow
def test_removing_gives_the_nodes_back(
    reader: Reader, machines: dict[str, LabNode], before: dict[str, str]
) -> None:
    [remove] = [one for one in typed([*PAGES]) if one.text == "pyinfra-gvisor remove"]
    reader.follow([*PAGES])

    reader.repeat(remove)

    for name in ("run-1.example.com", "run-2.example.com"):
        assert daemon_json(machines[name]) == before[name]
        assert machines[name].exec("ls", "/opt/gvisor").code != 0


def test_one_file_takes_a_node_without_a_package_index_to_proven(
    shop: Shop, tmp_path: Path
) -> None:
    """The node's Python is the one that the file was built with."""
    [wheel] = shop.wheels.glob("pyinfra_gvisor-*.whl")
    install(ROOT, wheel, str(tmp_path / "venv"), DAY_S)
    write_zipapp(ROOT, tmp_path / "venv", tmp_path / "gvisor.pyz", DAY_S)
    content = (tmp_path / "gvisor.pyz").read_bytes()
    page = (ROOT / "docs/how-to/cloud-init.md").read_text()
    found = re.search(r"```sh\n(.*?)```", page, re.DOTALL)
    assert found
    fetched = re.sub("curl -fsS -o gvisor.pyz .*", "cp /srv/gvisor.pyz .", found[1])
    text = fetched.replace("<from SHA256SUMS>", hashlib.sha256(content).hexdigest())
    archive = Path(DEFAULT, lab_arch(os.environ), "gvisor.tar.bz2")
    settings = f'gvisor_release = "{DEFAULT}"\ngvisor_source = "/srv/gvisor"\n'

    with lab_of(f"{LAB}-zipapp", {"new": NodeSpec(FLAVOURS["debian-12"])}, beside=True) as nodes:
        node = nodes["new"]
        sh(node, f"mkdir -p /root/gvisor /srv/gvisor/{archive.parent}")
        node.put("/srv/gvisor.pyz", content)
        node.put(f"/srv/gvisor/{archive}", (shop.bucket / archive).read_bytes())
        node.put("/root/gvisor/settings.py", settings.encode())
        sh(node, "apt-get -qq update && apt-get -qq -y install bzip2 curl python3 > /dev/null")
        ran = node.exec("env", "PYINFRA_PROGRESS=off", "sh", "-c", text)

    assert ran.code == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "gVisor works on 1 of 1 host" in ran.stderr + ran.stdout
