"""``coolify/option.sh``, which the deploy runs, and ``coolify/keep.sh``, which the timer runs."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from pyinfra_gvisor.coolify.files import PATCHER, patcher_text
from tests.unit.coolify_scripts import RUN_DIR, WORKS, Factory
from tests.unit.shells import stub

SAID = "coolify.runtime_option: coolify on factory: "
REFUSED = "docker.php: php -l: odd; nothing was changed"
STALE = "worker 11 1.25 php artisan horizon\nstale 11"
UNSAFE = "Coolify does not honour --runtime; new deployments run directly on the host kernel"
SOON = {"coolify_timeout_s=120": "coolify_timeout_s=0.3"}
NATIVE_LIST = 'probe {"runtime":["runscprobe"]}'


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    """A control host whose Coolify drops the option until now, with what the timer runs."""
    found = Factory(tmp_path)
    found.container()
    found.php("apply", "changed yes", "function patched", WORKS, "end")
    found.php("remove", "changed yes", "function unpatched", "end")
    found.php("renew", "asked no", "function patched", WORKS, "end")
    found.php("state", "function patched", WORKS, "end")
    found.at(PATCHER).parent.mkdir(parents=True)
    found.at(PATCHER).write_text(patcher_text())
    return found


@pytest.mark.parametrize(
    "verb", [pytest.param("apply", id="apply"), pytest.param("remove", id="remove")]
)
def test_the_source_is_changed_and_then_horizon_is_renewed(factory: Factory, verb: str) -> None:
    ran = factory.option(verb)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert factory.told("verbs") == [verb, "renew", "state"]
    for asked in (verb, "renew", "state"):
        assert (factory.stubs / f"sent.{asked}").read_text() == patcher_text()


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        pytest.param(f"echo '{REFUSED}' >&2; exit 3", REFUSED, id="refused"),
        pytest.param("echo one; echo 'no php' >&2; exit 127", "no php", id="last-of-two-lines"),
        pytest.param("kill -9 $$", "no answer within 120 s, or killed", id="killed"),
    ],
)
def test_a_source_that_cannot_be_changed_fails_and_nothing_else_is_asked(
    factory: Factory, does: str, reason: str
) -> None:
    factory.says("php.apply", does)

    ran = factory.option()

    assert (ran.returncode, ran.stderr) == (1, f"{SAID}apply: {reason}\n")
    assert factory.told("verbs") == ["apply"]


def test_a_patcher_that_does_not_answer_is_told_as_that(factory: Factory) -> None:
    factory.says("php.apply", "exec sleep 20")

    ran = factory.option(changes=SOON)
    looked = factory.keep(changes=SOON)

    assert (ran.returncode, looked.returncode) == (1, 1)
    assert ran.stderr == f"{SAID}apply: no answer within 0.3 s, or killed\n"
    assert looked.stdout == f"<3>{UNSAFE}: no answer within 0.3 s, or killed\n"


def test_a_horizon_that_cannot_be_renewed_fails(factory: Factory) -> None:
    factory.says("php.renew", "echo 'php artisan horizon:terminate: no redis' >&2; exit 4")

    ran = factory.option()

    assert ran.returncode == 1
    assert ran.stderr == (
        f"{SAID}Coolify's web pages run the new code, but Horizon does not: "
        "php artisan horizon:terminate: no redis; run again\n"
    )
    assert factory.told("verbs") == ["apply", "renew"]


def test_a_horizon_that_has_deployments_to_end_is_left_to_it(factory: Factory) -> None:
    clock = factory.stubs / "clock"
    clock.write_text("1000")
    stub(factory.path, "date", f"now_s=$(cat {clock}); echo $((now_s + 10)) > {clock}; cat {clock}")
    factory.php("state", "function patched", STALE, "end")

    ran = factory.option(changes={"sleep 1": "sleep 0"})

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "Horizon ends its running deployments first, and loads the new code then\n"
    assert factory.told("verbs") == ["apply", "renew", "state", "state", "state"]


def test_a_horizon_that_comes_anew_is_waited_for(factory: Factory) -> None:
    new = factory.stubs / "new"
    factory.says("php.state", f"[ -e {new} ] || echo '{STALE}'; : > {new}; echo end")

    ran = factory.option(changes={"sleep 1": "sleep 0"})

    assert (ran.returncode, ran.stdout) == (0, "")
    assert factory.told("verbs") == ["apply", "renew", "state", "state"]


def test_one_that_is_at_it_is_waited_for(factory: Factory) -> None:
    log = factory.stubs / "verbs"

    def let_go(handle: int) -> None:
        log.write_text("the other has ended\n")
        fcntl.flock(handle, fcntl.LOCK_UN)

    with factory.locked() as handle:
        other = threading.Timer(0.3, let_go, [handle])
        other.start()
        ran = factory.option()
        other.join()

    assert ran.returncode == 0
    assert factory.told("verbs") == ["the other has ended", "apply", "renew", "state"]


def test_one_that_is_at_it_for_too_long_is_told_and_nothing_is_done(factory: Factory) -> None:
    with factory.locked():
        ran = factory.option(changes={"flock -w 300": "flock -w 0"})

    assert (ran.returncode, factory.told("verbs")) == (1, [])
    assert ran.stderr == (
        f"{SAID}another process has held {factory.at('/run/pyinfra-gvisor/coolify.lock')} "
        "for 300 s; run again\n"
    )


def test_nothing_but_the_lock_is_left_on_the_host(factory: Factory) -> None:
    before = factory.files()

    factory.option()
    factory.keep()

    assert factory.files() == {*before, f"{RUN_DIR}/coolify.lock"}


def test_a_look_at_a_coolify_that_honours_the_option_says_nothing(factory: Factory) -> None:
    factory.php("apply", "changed no", "function patched", WORKS, "end")

    ran = factory.keep()

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert factory.told("verbs") == ["apply"]
    assert (factory.stubs / "sent.apply").read_text() == patcher_text()


def test_a_look_puts_back_what_got_lost_and_says_so(factory: Factory) -> None:
    ran = factory.keep()

    assert (ran.returncode, ran.stdout) == (
        0,
        (
            "<5>Coolify did not honour --runtime any more; "
            "it was patched again and honours --runtime now\n"
        ),
    )
    assert factory.told("verbs") == ["apply"]


def test_a_look_renews_a_horizon_with_old_code(factory: Factory) -> None:
    factory.php("apply", "changed no", "function patched", WORKS, STALE, "end")

    ran = factory.keep()

    assert (ran.returncode, ran.stdout) == (0, "")
    assert factory.told("verbs") == ["apply", "renew"]


@pytest.mark.parametrize(
    ("running", "said"),
    [
        pytest.param(None, "<5>there is no container coolify: nothing to check\n", id="none"),
        pytest.param(False, "<5>container coolify does not run: nothing to check\n", id="stopped"),
    ],
)
def test_a_look_at_no_running_coolify_ends_well(
    factory: Factory, running: bool | None, said: str
) -> None:
    factory.container(running=bool(running))
    if running is None:
        (factory.stubs / "image").unlink()

    ran = factory.keep()

    assert (ran.returncode, ran.stdout) == (0, said)
    assert factory.told("verbs") == []


@pytest.mark.parametrize(
    ("does", "said"),
    [
        pytest.param(
            f"echo one; echo '{REFUSED}' >&2; exit 3", f"{UNSAFE}: {REFUSED}", id="refused"
        ),
        pytest.param(
            f"printf '%s\\n' 'changed no' 'function native' '{NATIVE_LIST}' end",
            "Coolify knows --runtime, but does not pass it on to Docker: "
            'it answers {"runtime":["runscprobe"]}',
            id="another-answer",
        ),
        pytest.param(
            "printf '%s\\n' 'changed no' 'function native' 'probe_error Error: no class' end",
            "Coolify knows --runtime, but does not pass it on to Docker: Error: no class",
            id="no-answer-of-the-function",
        ),
    ],
)
def test_a_look_that_finds_apps_without_their_sandbox_fails_in_one_line(
    factory: Factory, does: str, said: str
) -> None:
    factory.says("php.apply", does)

    ran = factory.keep()

    assert (ran.returncode, ran.stdout, ran.stderr) == (1, f"<3>{said}\n", "")
    assert factory.told("verbs") == ["apply"]


def test_a_look_that_cannot_renew_horizon_fails(factory: Factory) -> None:
    factory.php("apply", "changed yes", "function patched", WORKS, STALE, "end")
    factory.says("php.renew", "echo 'no redis' >&2; exit 4")

    ran = factory.keep()

    assert ran.returncode == 1
    assert ran.stdout.splitlines()[1:] == [
        (
            "<3>Horizon still runs old code; "
            "new deployments may run directly on the host kernel: no redis"
        )
    ]


def test_a_look_without_the_patcher_fails_and_asks_for_the_deploy(factory: Factory) -> None:
    factory.at(PATCHER).unlink()

    ran = factory.keep()

    assert (ran.returncode, factory.told("verbs")) == (1, [])
    assert ran.stdout == (
        "<3>cannot check that Coolify honours --runtime: "
        f"{factory.at(PATCHER)} is missing; run deploys/coolify.py again\n"
    )


def test_a_look_leaves_a_deploy_that_is_at_it_alone(factory: Factory) -> None:
    with factory.locked():
        ran = factory.keep(changes={"flock -w 60": "flock -w 0"})

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert factory.told("verbs") == []
