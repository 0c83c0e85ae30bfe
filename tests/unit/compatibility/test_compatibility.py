"""Records of compatibility: what they say of a node, their files, and the table of docs."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.compatibility.files import write_record
from pyinfra_gvisor.compatibility.record import Record
from pyinfra_gvisor.compatibility.seen import seen_by, source_kind
from pyinfra_gvisor.releases.sources import APT_URL, GITHUB_URL, OFFICIAL_URL
from tests.arguments import Data, Printed
from tests.table import table
from tests.unit.answers import Running
from tests.unit.command.commands import compatibility as main
from tests.unit.compatibility.compatible import record, recorded
from tests.unit.egress.firewalled import firewall
from tests.unit.kernel.kernel_answers import in_force, told
from tools.compatibility.kept import DOCS, kept_records, read_record, row_name
from tools.compatibility.page import MARK, PAGE, page_with
from tools.compatibility.table import EMPTY, HEAD
from tools.compatibility.table import table as table_of

LAB_PATH = "/var/cache/lab-build-gvisor.dev-gvisor@v0.0.0-20260905035102-160fafc42237"
GVISOR = "gvisor.dev/gvisor@v0.0.0-20260905035102-160fafc42237"
ARCHIVE = "releases/release/20260905.0/x86_64/gvisor.tar.bz2"
NAMED = {"gvisor_runtimes": {"net": {"network": "sandbox", "dns": "docker"}}}
SNAPSHOTTER = [["driver-type", "io.containerd.snapshotter.v1"]]
COMMITS = {"ContainerdCommit": {"ID": "1.7.24~ds1-6"}, "RuncCommit": {"ID": "v1.2.4-0-g6c52b3f"}}


@table(
    "node, expected",
    debian=({}, {"distribution": "Debian 13", "init": "systemd"}),
    kernel=({}, {"kernel": "6.12.9+deb13-amd64", "arch": "x86_64"}),
    cgroup_2=({}, {"cgroup_version": 2, "cgroup_driver": "systemd"}),
    docker=({}, {"docker": "29.8.2", "image_store": "overlay2"}),
    not_told=({}, {"containerd": None, "runc": None, "firewall_backend": None}),
    utc_day_of_the_proof=({}, {"date": date(2026, 11, 27)}),
    apt=({}, {"runsc": "20260928.0", "runsc_source": "debian", "runsc_lab_build": None}),
    ubuntu=({"os": "ubuntu 24.04 noble"}, {"distribution": "Ubuntu 24.04"}),
    no_version=({"os": "debian unknown forky"}, {"distribution": "Debian forky"}),
    cgroup_1=(
        {"cgroup": "1", "docker": {"CgroupDriver": "cgroupfs"}},
        {"cgroup_version": 1, "cgroup_driver": "cgroupfs"},
    ),
    sysvinit=({"supervisor": "sysvinit"}, {"init": "sysvinit"}),
    by_hand=({"supervisor": "process"}, {"init": "by hand"}),
    store_of_containerd=(
        {"docker": {"Driver": "overlayfs", "DriverStatus": SNAPSHOTTER}},
        {"image_store": "containerd: overlayfs"},
    ),
    null=({"docker": {"DriverStatus": None}}, {"image_store": "overlay2"}),
    firewall_backend=(
        {"docker": {"FirewallBackend": {"Driver": "nftables"}}},
        {"firewall_backend": "nftables"},
    ),
    containerd_and_runc=(
        {"docker": COMMITS},
        {"containerd": "1.7.24~ds1-6", "runc": "v1.2.4-0-g6c52b3f"},
    ),
    runc_says_itself=({"docker": COMMITS, "runc_version": "1.3.3"}, {"runc": "1.3.3"}),
    lab_build=(
        {"source": f"{LAB_PATH}-0123456789ab/{ARCHIVE}"},
        {"runsc_source": None, "runsc_lab_build": GVISOR},
    ),
)
def test_a_record_says_what_the_node_is(node: Data, expected: Data) -> None:
    found = recorded(**node)

    assert {key: getattr(found, key) for key in expected} == expected


@table(
    "word, kind",
    docker=("docker", "lab container"),
    podman=("podman", "lab container"),
    lxc=("lxc", "container"),
    nspawn=("systemd-nspawn", "container"),
    kvm=("kvm", "virtual machine"),
    qemu=("qemu", "virtual machine"),
    amazon=("amazon", "virtual machine"),
    none=("none", "server"),
)
def test_what_saw_it_is_what_the_node_runs_on(word: str, kind: str) -> None:
    assert seen_by(word) == kind
    assert recorded(virtualization=word).seen_by == kind


@table(
    "source, kind",
    official=(
        OFFICIAL_URL.format(release="20260928.0", arch="x86_64", file="gvisor.tar.bz2"),
        "official",
    ),
    github=(GITHUB_URL.format(release="20260928.0", arch="x86_64"), "github"),
    apt=(f"apt {APT_URL}", "apt"),
    apt_mirror=("apt https://mirror.acme.example/gvisor", "apt mirror"),
    debian=("Debian's package runsc", "debian"),
    https=("https://files.acme.example/gvisor.tar.bz2", "URL"),
    http=("http://10.0.0.9/gvisor.tar.bz2", "URL"),
    file=("/home/acme/gvisor.tar.bz2", "file"),
    no_lab_build=("/home/acme/lab-build-of-mine@v1/gvisor.tar.bz2", "file"),
    nobody_knows=("", "unknown"),
)
def test_of_a_source_only_the_kind_is_told(source: str, kind: str) -> None:
    assert source_kind(source) == kind
    assert recorded(source=source).runsc_source == kind


def test_runtimes_are_told_by_what_they_are_with_the_outcome_of_their_proof() -> None:
    runtimes = {
        "zeta": {"network": "host"},
        "alpha": {**NAMED["gvisor_runtimes"]["net"], "flags": ["--directfs=false"]},
    }
    outcomes = {"zeta": {"ok": 23, "accepted": 1, "n/a": 5}, "alpha": {"ok": 27, "n/a": 2}}

    found = recorded({"gvisor_runtimes": runtimes}, proof={"outcomes": outcomes})

    (host, sandbox) = found.runtimes
    assert (host.network, host.ok, host.accepted, host.not_applicable) == ("host", 23, 1, 5)
    assert (sandbox.network, sandbox.dns, sandbox.ok) == ("sandbox", "docker", 27)
    assert sandbox.flags == ("directfs",)
    assert found.names


def test_a_default_runtime_is_told_by_what_its_containers_ask_for() -> None:
    settings = {"gvisor_default": "sandbox-all", "gvisor_exempt": []}
    names = ("runsc", "gvisordefault", "runcbyname")
    proof = {"outcomes": {name: {"ok": 23 + n} for n, name in enumerate(names)}}

    found = recorded(settings, proof=proof)

    asked = {item.asked: item.ok for item in found.runtimes}
    assert asked == {"name": 23, "nothing": 24, "runc": 25}
    assert "by default, network host" in table_of([found])


def test_the_timings_are_those_of_the_proof_and_of_the_run() -> None:
    took = {"proof_s": 2.3, "run_s": 51.2, "hosts": 1, "changes": 6}
    assert recorded().timings.model_dump() == took


@table(
    "settings, lines, on",
    neither=({}, [], (False, False)),
    firewall=({"gvisor_egress": {}}, firewall(), (True, False)),
    firewall_not_loaded=({"gvisor_egress": {}}, [], (False, False)),
    firewall_not_declared=({}, firewall(), (False, False)),
    kernel=({"gvisor_kernel": {}}, in_force(), (False, True)),
    kernel_not_in_effect=({"gvisor_kernel": {}}, told(), (False, False)),
    kernel_not_declared=({}, in_force(), (False, False)),
)
def test_what_stands_around_the_sandbox_counts_where_it_is_declared_and_active(
    settings: Data, lines: list[str], on: tuple[bool, bool]
) -> None:
    found = recorded(settings, lines=lines)

    assert (found.firewall, found.kernel_surface) == on


def test_a_record_of_a_node_with_telling_names_has_none_of_them() -> None:
    settings = {
        "gvisor_runtimes": {
            "acmepayroll": {
                "network": "host",
                "panic_log": "/var/log/acme/panic.log",
                "flags": ["--debug-log=/var/log/acme-debug/"],
            }
        },
        "gvisor_egress": {"allow": [{"to": "10.66.77.88", "ports": ["5432"]}]},
        "gvisor_must_sandbox": [{"labels": {"acme.team": "payroll"}}],
    }
    app = Running(
        "acme-shop",
        runtime="acmepayroll",
        mounts=("/srv/acme",),
        given={"Image": "registry.acme.example/shop", "Labels": {"acme.team": "payroll"}},
    )
    docker = {
        "Name": "acme-host",
        "Labels": ["rack=acme"],
        "DockerRootDir": "/srv/acme/docker",
        "HttpProxy": "http://acme:hunter2@10.66.77.99",
        "DriverStatus": [["Backing Filesystem", "acmefs"]],
    }

    found = recorded(
        settings,
        name="acme-host.example",
        lines=firewall(settings["gvisor_egress"]),
        docker=docker,
        containers=[app],
        source="https://files.acme.example/20260928.0/gvisor.tar.bz2",
        proof={"image": "registry.acme.example/probe", "risks": ["acme said so"]},
    )

    text = found.model_dump_json().lower()
    for telling in ("acme", "payroll", "10.66", "hunter2", "/", "5432"):
        assert telling not in text


@table(
    "node, said",
    another_state=({"proof": {"fingerprint": "x"}}, "the node has no valid proof"),
    failed=({"proof": {"failed": ["exec"]}}, "the node has no valid proof"),
    no_time=({"proof": {"at": None}}, "the date of the node's proof is unknown"),
    older_proof=({"proof": {"outcomes": None}}, "has no results for each runtime"),
    another_runtime=({"proof": {"outcomes": {"x": {}}}}, "no results"),
    damaged=({"proof": {"outcomes": {"runsc": 7}}}, "is damaged"),
    text=({"proof": {"outcomes": {"runsc": {"ok": "x"}}}}, "ok does not fit"),
    nothing_told=({"virtualization": ""}, "it is unknown whether"),
    a_path=({"docker": {"Driver": "/srv/acme"}}, "image_store does not fit"),
)
def test_where_something_is_not_known_there_is_no_record(node: Data, said: str) -> None:
    with pytest.raises(Problem, match=said):
        recorded(**node)


@table(
    "key, value",
    path=("docker", "/usr/bin/dockerd"),
    long=("distribution", "x" * 81),
    another_key=("host", "acme-host"),
    path_as_lab_build=("runsc_lab_build", "/srv/acme@v1"),
    seen_by_nobody=("seen_by", "a friend"),
    no_runtime=("runtimes", []),
)
def test_a_record_has_no_room_for_anything_else(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        record(**{key: value})


NAME = (
    "debian-13_docker-26.1.5-dfsg1_overlay2_cgroup-v2-systemd_x86_64_runsc-20260928.0_"
    "virtual-machine.json"
)
MOBY = "github.com/moby/moby/v2@v2.0.0-beta.21"
LAB = {"runsc": "20260905.0", "runsc_source": None, "runsc_lab_build": GVISOR}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A page without records."""
    directory = tmp_path / "docs"
    (directory / "compatibility").mkdir(parents=True)
    marks = f"before\n<!-- {MARK} -->\nold\n<!-- /{MARK} -->\nafter\n"
    (directory / PAGE).write_text(marks)
    return directory


def written(directory: Path, found: Record, host: str = "run-1") -> str:
    """The path of a record that a run wrote."""
    return str(write_record(directory, host, found))


def test_the_committed_table_is_what_the_records_give() -> None:
    page = (DOCS / PAGE).read_text()

    assert page == page_with(page), "run python -m tools compatibility table"
    assert table_of(kept_records()) in page


def test_a_record_that_a_run_wrote_is_named_after_the_host_and_read_back(tmp_path: Path) -> None:
    path = write_record(tmp_path, "@docker/x", record())

    assert path == tmp_path / "compatibility" / "%40docker%2Fx.json"
    assert read_record(path) == record()
    assert path.stat().st_mode & 0o777 == 0o644


@table(
    "changes, name",
    plain=({}, NAME),
    store=(
        {"image_store": "containerd: overlayfs"},
        NAME.replace("overlay2", "containerd-overlayfs"),
    ),
    cgroup=(
        {"cgroup_version": 1, "cgroup_driver": "cgroupfs"},
        NAME.replace("v2-systemd", "v1-cgroupfs"),
    ),
    started_by_hand=({"init": "by hand"}, NAME.replace("x86_64", "x86_64_by-hand")),
    gvisor_lab_build=(LAB, NAME.replace("20260928.0", "20260905.0-lab-build")),
    docker_too=({"docker_lab_build": MOBY}, NAME.replace("dfsg1", "dfsg1-lab-build")),
    seen_by=({"seen_by": "server"}, NAME.replace("virtual-machine", "server")),
)
def test_a_kept_record_is_named_after_its_combination(changes: Data, name: str) -> None:
    assert row_name(record(**changes)) == name


def test_a_record_is_added_and_makes_a_row(docs: Path, tmp_path: Path, capsys: Printed) -> None:
    codes = [main(["add", written(tmp_path, record())], docs=docs), main(["table"], docs=docs)]

    assert codes == [0, 0]
    assert [path.name for path in (docs / "compatibility").iterdir()] == [NAME]
    page = (docs / PAGE).read_text()
    assert page == f"before\n<!-- {MARK} -->\n{table_of([record()])}<!-- /{MARK} -->\nafter\n"
    assert NAME in capsys.readouterr().out


def test_a_later_record_of_the_same_combination_takes_the_place(docs: Path, tmp_path: Path) -> None:
    later = record(date="2026-11-27", kernel="6.12.10+deb13-amd64")

    main(["add", written(tmp_path, record())], docs=docs)
    assert main(["add", written(tmp_path, later)], docs=docs) == 0
    assert kept_records(docs / "compatibility") == [later]


def test_a_lab_build_of_docker_is_stated_by_who_adds_the_record(docs: Path, tmp_path: Path) -> None:
    path = written(tmp_path, record())

    code = main(["add", "--docker-lab-build", MOBY, path], docs=docs)

    (kept,) = kept_records(docs / "compatibility")
    assert code == 0
    assert kept.docker_lab_build == MOBY
    assert f"lab build of `{MOBY}`, calls itself 26.1.5+dfsg1" in table_of([kept])


LATER = record(date="2026-11-27").model_dump_json()


@table(
    "texts, arguments, said",
    empty=(["{}"], [], "not a record: "),
    no_object=(["[]"], [], "not a record: "),
    no_json=(["no json"], [], "not a record: "),
    no_file=([None], [], "cannot be read"),
    path_in_it=([LATER.replace("overlay2", "/srv/acme")], [], "not a record: image_store"),
    older=([record(date="2026-11-25").model_dump_json()], [], "but the kept one is of"),
    twice=([LATER] * 2, [], "has the same combination"),
    one_is_bad=([record(seen_by="server").model_dump_json(), "{}"], [], "not a record"),
    no_module=([LATER], ["--docker-lab-build", "29.7.1"], "not a Go module"),
)
def test_what_cannot_be_added_is_told_and_nothing_is_changed(
    docs: Path,
    tmp_path: Path,
    capsys: Printed,
    *,
    texts: list[Any],
    arguments: list[str],
    said: str,
) -> None:
    main(["add", written(tmp_path, record())], docs=docs)
    paths = [tmp_path / f"{number}.json" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        if text is not None:
            path.write_text(text)

    assert main(["add", *arguments, *map(str, paths)], docs=docs) == 1
    assert said in capsys.readouterr().err
    assert kept_records(docs / "compatibility") == [record()]


def test_a_kept_record_under_another_name_is_told(docs: Path, capsys: Printed) -> None:
    (docs / "compatibility" / "mine.json").write_text(record().model_dump_json())

    assert main(["table"], docs=docs) == 1
    assert f"rename the file to {NAME}" in capsys.readouterr().err


def test_without_a_clone_nothing_is_written(tmp_path: Path, capsys: Printed) -> None:
    assert main(["add", written(tmp_path, record())], docs=tmp_path / "none") == 1
    assert "run this in a clone" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_without_records_the_table_says_how_to_make_one() -> None:
    assert table_of([]) == EMPTY
    assert "python -m tools compatibility add" in EMPTY


def test_a_row_says_what_was_seen_by_what_and_when() -> None:
    on: dict[str, Any] = {"firewall": True, "kernel_surface": True, "names": True}
    on["firewall_backend"] = "nftables"
    docker = ["26.1.5+dfsg1", "store overlay2", "cgroup driver systemd"]
    docker += ["rules by nftables", "containerd `1.7.24~ds1-6+b4`", "runc `1.1.15+ds1-2+b4`"]
    proof = ["network host, overlay none: 24 ok, 5 n/a, 0 failed"]
    proof += ["with firewall, kernel surface, names"]

    head, rule, row = table_of([record(**LAB, **on)]).splitlines()

    assert head == f"| {' | '.join(HEAD)} |"
    assert rule == "|---" * len(HEAD) + "|"
    assert row.split("|")[1:-1] == [
        " Debian 13, x86_64<br>Linux 6.12.9+deb13-amd64<br>cgroup v2<br>systemd ",
        f" {'<br>'.join(docker)} ",
        f" lab build of `{GVISOR}`, calls itself 20260905.0 ",
        f" {'<br>'.join(proof)} ",
        " proof 2.3 s<br>run 51 s (1 host, 6 changes here) ",
        " virtual machine ",
        " 2026-11-26 ",
    ]


@table(
    "timings, took",
    nothing_known=({"proof_s": None, "run_s": None}, ""),
    a_person_was_asked=({"proof_s": 2.34, "run_s": None}, "proof 2.3 s"),
)
def test_a_row_says_no_time_that_nobody_knows(timings: Data, took: str) -> None:
    found = record(timings={**timings, "hosts": 1, "changes": 0})

    (*_, row) = table_of([found]).splitlines()

    assert row.split("|")[5].strip() == took
