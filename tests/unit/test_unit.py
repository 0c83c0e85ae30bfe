"""dockerd's arguments as systemd makes them of a unit."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.node.dockerd_unit import Supervisor, next_arguments, unit_arguments

DEBIAN = """# /usr/lib/systemd/system/docker.service
[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
"""
FIXED = ("-H", "fd://", "--containerd=/run/containerd/containerd.sock")


@pytest.mark.parametrize(
    ("drop_in", "expected"),
    [
        pytest.param("", FIXED, id="none"),
        pytest.param("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -D\n", ("-D",), id="reset"),
        pytest.param("[Service]\nExecStart=\n", (), id="reset-and-nothing"),
        pytest.param(
            "ExecStart=\nExecStart=/bin/dockerd -D\nExecStart=\nExecStart=/bin/dockerd -l x",
            ("-l", "x"),
            id="reset-twice",
        ),
        pytest.param(
            "ExecStart=\nExecStart=/usr/bin/dockerd \\\n  --debug \\\n# a remark\n\t--icc=false\n",
            ("--debug", "--icc=false"),
            id="goes-on-in-other-lines",
        ),
        pytest.param("ExecStart = /usr/bin/dockerd -D", ("-D",), id="spaces"),
        pytest.param("#ExecStart=/usr/bin/dockerd -D", FIXED, id="commented-out"),
        pytest.param("ExecStartPre=/bin/true -x", FIXED, id="another-key"),
        pytest.param("ExecStart=-+/usr/bin/dockerd -D", ("-D",), id="prefixes"),
        pytest.param("ExecStart=@/usr/bin/dockerd name -D", ("-D",), id="name-of-its-own"),
        pytest.param(
            "ExecStart=/usr/bin/dockerd --label 'a b' \"--label=c d\"",
            ("--label", "a b", "--label=c d"),
            id="quotes",
        ),
        pytest.param("ExecStart=/usr/bin/dockerd --label 'a", ("--label", "'a"), id="open-quote"),
        pytest.param("ExecStart=/usr/bin/dockerd --label %H", ("--label", "%H"), id="specifier"),
        pytest.param(
            "Environment=A=1 'B=x y'\nExecStart=/usr/bin/dockerd --l=${A}-${B} $B $$ $NONE",
            ("--l=1-x y", "x", "y", "$"),
            id="variables",
        ),
    ],
)
def test_the_last_command_counts(drop_in: str, expected: tuple[str, ...]) -> None:
    assert unit_arguments(DEBIAN + drop_in, {}) == expected


def test_a_variable_of_a_file_wins_over_one_of_the_unit() -> None:
    text = DEBIAN + "Environment=DOCKER_OPTS=--icc\n"

    assert unit_arguments(text, {"DOCKER_OPTS": "-D --dns 9.9.9.9"}) == (
        *FIXED,
        *("-D", "--dns", "9.9.9.9"),
    )


def test_a_text_without_a_command_has_no_arguments() -> None:
    assert unit_arguments("", {}) == ()


@pytest.mark.parametrize(
    ("unit", "options", "expected"),
    [
        pytest.param(None, None, None, id="nothing-is-newer"),
        pytest.param(DEBIAN, None, FIXED, id="unit"),
        pytest.param(DEBIAN, 'DOCKER_OPTS="-D"\n', (*FIXED, "-D"), id="unit-and-options"),
        pytest.param(None, "DOCKER_OPTS='-D --icc'\n", ("-D", "--icc"), id="init-script"),
        pytest.param(None, "", (), id="init-script-without-options"),
        pytest.param(None, 'DOCKER_OPTS="-D\n', ('"-D',), id="open-quote"),
    ],
)
def test_the_next_start_is_known_from_whatever_says_it(
    unit: str | None, options: str | None, expected: tuple[str, ...] | None
) -> None:
    assert next_arguments(unit, options) == expected


def test_another_kind_of_supervisor_is_an_error() -> None:
    with pytest.raises(ValueError, match="kind"):
        Supervisor.of("runit")
