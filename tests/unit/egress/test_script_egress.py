"""The firewall's scripts on a node of the test's own: on probation, confirmed, taken back, gone."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.table import table
from tests.unit.egress.egress_host import KEPT, NAME, TIMER, UNIT, Host
from tests.unit.shells import held, stub

Job = Callable[[Host], CompletedProcess[str]]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node without a firewall."""
    return Host(tmp_path)


@pytest.fixture
def guarded(host: Host) -> Host:
    """A node on which the rules called old are in force."""
    host.has("old")
    return host


def sums(text: str) -> str:
    """What is written down of rules that were loaded, where nft lists them as they were given."""
    table, file = (hashlib.sha256(item.encode()).hexdigest() for item in (f"{text}\n", text))
    return f"{table} {file}\n"


def test_rules_are_checked_then_a_timer_is_set_and_only_then_they_are_loaded(host: Host) -> None:
    ran = host.load_on_probation(confirm_s=45)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    check, timer, load = host.asked("nft", "systemd-run")
    assert check == "nft -c -f /gvisor/egress/candidate.nft"
    assert load == "nft -f -"
    for word in (f"--unit={NAME}-revert", "--on-active=45", "--collect"):
        assert word in timer.split(" ")
    assert timer.endswith(" /bin/sh /gvisor/egress/revert.sh")
    assert (host.table.read_text(), host.loaded.read_text()) == ("new", sums("new"))


def test_on_probation_nothing_is_there_that_a_reboot_would_load_and_rules_go_with_their_timer(
    guarded: Host,
) -> None:
    guarded.load_on_probation()
    rules, candidate = guarded.rules.read_text(), guarded.candidate.read_text()
    before = guarded.asked("systemctl")
    ran = guarded.remove()

    assert (rules, candidate, before) == ("old", "new", [])
    assert (ran.returncode, guarded.asked("systemctl")[0]) == (0, f"stop {TIMER}")
    assert (guarded.state(TIMER), guarded.files(), guarded.table.exists()) == (None, {}, False)


@pytest.fixture(params=[Host.undo, Host.revert], ids=["controller", "timer"])
def take_back(request: pytest.FixtureRequest) -> Job:
    """Roll back, by the controller or by the timer."""
    return request.param  # type: ignore[no-any-return]


def test_where_there_were_rules_those_are_in_force_again_and_else_none(
    guarded: Host, take_back: Job
) -> None:
    guarded.load_on_probation()
    ran = take_back(guarded)
    found = (guarded.table.read_text(), guarded.loaded.read_text(), guarded.rules.read_text())
    kept = guarded.files()
    guarded.remove()
    guarded.unit(TIMER, "inactive")
    guarded.load_on_probation()
    bare = take_back(guarded)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (found, kept) == (("old", sums("old"), "old"), KEPT)
    assert bare.returncode == 0
    gone = (guarded.table, guarded.loaded, guarded.candidate)
    assert not any(path.exists() for path in gone)


@table(
    "file, said",
    nft=("refuses-check", "{0}/candidate.nft on run-1: nft refuses the rules: bad rule; "),
    kernel=("refuses-load", "the kernel refuses the rules: cannot allocate memory\n"),
    systemd=("no-timers", f"{TIMER} on run-1: systemd cannot start this timer; nothing"),
)
def test_rules_that_cannot_be_tried_leave_the_old_ones(guarded: Host, file: str, said: str) -> None:
    (guarded.root / file).write_text("new")

    ran = guarded.load_on_probation()

    assert ran.returncode == 1
    assert said.format(guarded.egress) in ran.stderr
    assert (guarded.table.read_text(), guarded.loaded.read_text()) == ("old", sums("old"))
    assert guarded.files() == KEPT
    assert guarded.state(TIMER) is None


@table(
    "job, said",
    load=(Host.load_on_probation, "another run holds this lock; nothing was loaded"),
    remove=(Host.remove, "another process has held this lock for 30 s; nothing was removed"),
)
def test_while_another_is_at_it_nothing_is_done(guarded: Host, job: Job, said: str) -> None:
    with held(guarded.lock):
        ran = job(guarded)

    assert ran.returncode == 1
    assert f"egress.rules: {guarded.lock} on run-1: {said}" in ran.stderr
    assert (guarded.files(), guarded.table.read_text()) == (KEPT, "old")


def test_who_holds_the_lock_keeps_nobody_locked_out_but_no_others_are_tried_meanwhile(
    guarded: Host, take_back: Job
) -> None:
    guarded.load_on_probation("first")
    second = guarded.load_on_probation("second")
    candidate = guarded.candidate.read_text()

    with held(guarded.lock):
        ran = take_back(guarded)

    assert (second.returncode, candidate) == (1, "first")
    said = "new rules of another run are not confirmed yet; nothing was loaded. Run"
    assert said in second.stderr
    assert (ran.returncode, guarded.table.read_text()) == (0, "old")
    assert "another process has held the lock for 30 s; rolling back without it" in ran.stdout


def test_a_run_that_was_killed_or_cannot_write_leaves_the_rules_and_does_not_stop_the_next(
    guarded: Host,
) -> None:
    (guarded.egress / "load.sh.new").mkdir()
    failed = guarded.load_on_probation()
    table, asked = guarded.table.read_text(), guarded.asked("nft", "systemd-run")
    (guarded.egress / "load.sh.new").rmdir()
    guarded.candidate.write_text("half")
    guarded.lock.parent.chmod(0o755)  # as earlier versions left it

    ran = guarded.load_on_probation()

    assert failed.returncode != 0
    assert (table, asked) == ("old", [])
    assert (ran.returncode, guarded.table.read_text()) == (0, "new")
    assert guarded.lock.parent.stat().st_mode & 0o777 == 0o700, "no others may lock"


APT = """echo "apt-get $* ($DEBIAN_FRONTEND)" >> {0}/asked
case "$*" in *install*) [ -e {0}/nft ] && mv {0}/nft {1}/nft ;; esac"""


def test_nftables_is_installed_from_the_nodes_own_apt_or_nothing_is_done(host: Host) -> None:
    (host.path / "nft").rename(host.root / "elsewhere")
    stub(host.path, "apt-get", APT.format(host.root, host.path))
    without, files = host.load_on_probation(), host.files()
    (host.root / "asked").unlink()
    (host.root / "elsewhere").rename(host.root / "nft")

    ran = host.load_on_probation()

    assert (without.returncode, files) == (1, {})
    said = "egress.rules: nftables on run-1: apt-get cannot install this package; "
    assert said in without.stderr
    assert (ran.returncode, ran.stderr, host.table.read_text()) == (0, "", "new")
    assert host.asked("apt-get") == [
        "apt-get -qq update (noninteractive)",
        "apt-get -qq install -y --no-install-recommends nftables (noninteractive)",
    ]


def test_at_boot_what_was_loaded_is_written_down_only_if_it_was(guarded: Host) -> None:
    for path in (guarded.root / "other", guarded.root / "refuses-load"):
        path.write_text("other")

    failed, before = guarded.load(guarded.root / "other"), guarded.loaded.read_text()
    (guarded.root / "refuses-load").unlink()
    ran = guarded.load(guarded.root / "other")

    assert (failed.returncode, ran.returncode) == (1, 0)
    assert (before, guarded.loaded.read_text()) == (sums("old"), sums("other"))


def test_confirmed_rules_are_there_as_they_were_sent_and_stay_over_a_reboot(host: Host) -> None:
    host.load_on_probation()

    ran = host.confirm()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert host.files() == KEPT
    assert host.rules.read_text() == "new"
    asked = ["daemon-reload", f"enable --quiet {UNIT}", f"stop {TIMER}", f"start {UNIT}"]
    assert host.asked("systemctl") == asked


def test_a_unit_that_is_active_is_reloaded_and_the_timer_takes_nothing_back(guarded: Host) -> None:
    guarded.load_on_probation()

    ran, reverted = guarded.confirm(), guarded.revert()

    assert (ran.returncode, reverted.returncode, reverted.stdout) == (0, 0, "")
    assert guarded.asked("systemctl")[-1] == f"reload {UNIT}"
    assert f"start {UNIT}" not in guarded.asked("systemctl")
    assert (guarded.table.read_text(), guarded.rules.read_text()) == ("new", "new")


def test_a_confirmation_that_fails_on_its_way_leaves_what_can_be_taken_back(guarded: Host) -> None:
    guarded.load_on_probation()
    (guarded.root / "refuses-enable").touch()

    ran = guarded.confirm()
    undone = guarded.undo()

    assert (ran.returncode, ran.stderr) == (1, "read-only file system\n")
    assert undone.returncode == 0
    assert (guarded.table.read_text(), guarded.rules.read_text()) == ("old", "old")
    assert guarded.state(TIMER) is None


def test_rules_that_were_taken_back_cannot_be_confirmed_nor_confirmed_ones_taken_back(
    guarded: Host,
) -> None:
    undone = guarded.undo()
    confirmed = (guarded.table.read_text(), guarded.rules.read_text())
    guarded.load_on_probation()
    guarded.revert()

    ran = guarded.confirm()

    assert (undone.returncode, undone.stdout, confirmed) == (1, "", ("old", "old"))
    assert ran.returncode == 1
    assert ran.stderr == (
        f"egress.rules: {guarded.rules} on run-1: the new rules were rolled back before they were "
        "confirmed; raise confirm_s in gvisor_egress\n"
    )
    assert guarded.rules.read_text() == "old"
    assert guarded.asked("systemctl") == []


def test_nothing_of_it_stays_and_a_second_time_ends_well_too(guarded: Host) -> None:
    ran, again = guarded.remove(), guarded.remove()

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (again.returncode, again.stderr, guarded.files()) == (0, "", {})
    gone = (guarded.table, guarded.egress.parent, guarded.loaded.parent)
    assert not any(path.exists() for path in gone)
    asked = [f"disable --quiet --now {UNIT}", "daemon-reload", "daemon-reload"]
    assert guarded.asked("systemctl") == asked


LINK = f"units/sysinit.target.wants/{UNIT}"


@pytest.mark.parametrize("name", ["table", "gvisor/egress/load.sh", f"units/{UNIT}", LINK])
def test_what_is_left_of_one_goes_too(host: Host, name: str) -> None:
    path = host.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("../nowhere") if name == LINK else path.write_text("left")

    ran = host.remove()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (host.files(), host.table.exists()) == ({}, False)


def test_what_lies_beside_it_stays_and_the_rest_goes_without_nft_and_forgets_a_failed_unit(
    guarded: Host,
) -> None:
    release = guarded.egress.parent / "releases"
    release.mkdir()
    (guarded.units / "other.service").touch()
    (guarded.path / "nft").unlink()
    (guarded.units / UNIT).unlink()
    guarded.unit(UNIT, "failed")

    ran = guarded.remove()

    assert (ran.returncode, guarded.state(UNIT)) == (0, None)
    assert guarded.asked("systemctl") == ["daemon-reload", f"reset-failed {UNIT}"]
    assert release.exists()
    assert guarded.files() == {"units/other.service": "644"}


RULES_WITH_GROUPS = """# groups docker.service containerd.service buildkit.service
# name allow_1 localhost
table inet pyinfra_gvisor
"""
DOCKERS = "system.slice/docker.service"


def given(host: Host) -> list[str]:
    """What nft was given besides rules, without the common part."""
    lines = (host.root / "given").read_text().splitlines()
    return [
        line.replace(" inet pyinfra_gvisor", "")
        for line in lines
        if line.startswith(("add ", "flush ", "delete "))
    ]


def test_rules_are_loaded_with_the_control_groups_of_what_runs(host: Host) -> None:
    host.runs("docker", "buildkit")
    host.has(RULES_WITH_GROUPS)

    assert given(host)[-3:] == [
        f'add element docker {{ "{DOCKERS}" }}',
        f'add element docker_proxy {{ "{DOCKERS}" }}',
        'add element docker { "system.slice/buildkit.service" }',
    ]
    assert "add element allow_1_4 { 127.0.0.1 timeout 10m }" in given(host)


def test_a_unit_that_starts_gives_its_new_group_in_place_of_the_old(guarded: Host) -> None:
    guarded.rules.write_text(RULES_WITH_GROUPS.splitlines()[0])
    guarded.daemon_json.write_text('{"userland-proxy" : false}')
    guarded.runs("docker")

    ran = guarded.members("groups")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert given(guarded) == [
        "flush set docker",
        "flush set docker_proxy",
        f'add element docker {{ "{DOCKERS}" }}',
    ]
    assert guarded.table.read_text() == "old"


def test_groups_that_the_kernel_does_not_know_are_told(guarded: Host) -> None:
    guarded.rules.write_text(RULES_WITH_GROUPS)
    guarded.runs("docker", "containerd")
    (guarded.root / "set-docker").write_text('elements = { 2525, "system.slice/docker.service" }')

    told = guarded.members("unfiltered")

    assert told.stdout.splitlines() == ["system.slice/containerd.service"]


def test_rules_that_somebody_has_deleted_come_back_before_anybody_is_asked(guarded: Host) -> None:
    guarded.table.unlink()

    ran = guarded.load(guarded.rules)

    assert (ran.returncode, guarded.table.read_text()) == (0, "old")
    assert guarded.asked("nft") == ["nft -f /gvisor/egress/rules.nft", "nft -f -"]


def test_rules_are_loaded_also_without_the_program_that_knows_the_groups(guarded: Host) -> None:
    (guarded.egress / "members.sh").unlink()

    ran = guarded.load(guarded.rules)

    assert (ran.returncode, guarded.table.read_text()) == (0, "old")


# Three networks: of a project, one whose bridge has a name of its own, and one with such a name.
DOCKER = """
[ ! -e {0}/docker-fails ] || exit 1
case "$*" in
    *"--filter label=com.docker.compose.project=shop "*) echo '0123456789abcdef shop_default' ;;
    *"--filter name=lan "*) printf '%s\\n' 'aaaaaaaaaaaaaaaa lan' 'bbbbbbbbbbbbbbbb vlan2' ;;
    *"inspect "*aaaaaaaaaaaaaaaa) echo lan0 ;;
    *"inspect "*) echo ;;
esac
"""
WITH_APPS = """# dockerd docker.service
# app app_1 label=com.docker.compose.project=shop
# app app_2 name=lan
"""
BRIDGES = [
    'add element app_1 { "br-0123456789ab" }',
    'add element app_2 { "lan0" }',
]


@pytest.fixture
def with_apps(guarded: Host) -> Host:
    """A node with rules for two apps, whose Docker runs and has said which networks they have."""
    guarded.rules.write_text(WITH_APPS)
    guarded.unit("docker.service", "active")
    stub(guarded.path, "docker", DOCKER.format(guarded.root))
    assert guarded.members("apps").returncode == 0
    return guarded


def test_an_app_has_the_bridges_of_its_networks_and_of_no_other(with_apps: Host) -> None:
    assert given(with_apps) == ["flush set app_1", "flush set app_2", *BRIDGES]
    with_apps.rules.write_text(WITH_APPS.replace("name=lan", "name=wan"))

    with_apps.members("apps")

    assert given(with_apps) == ["flush set app_1", "flush set app_2", BRIDGES[0]]


def test_what_docker_does_not_tell_stays_as_it_was_also_at_boot(with_apps: Host) -> None:
    (with_apps.root / "docker-fails").touch()
    with_apps.members("apps")
    failed = given(with_apps)
    with_apps.unit("docker.service", "inactive")
    (with_apps.path / "docker").unlink()

    printed = with_apps.members("print").stdout.replace(" inet pyinfra_gvisor", "").splitlines()

    assert failed[2:] == [line for line in printed if line.startswith("add")] == BRIDGES
