"""``gvisor_source``, ``gvisor_sha512`` and the timeout: what they take together."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.settings import load_settings

SHA = "ab" * 64
LOOSE = {"runsc": SHA, "containerd-shim-runsc-v1": SHA}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"gvisor_source": "github"}, id="github"),
        pytest.param(
            {"gvisor_release": "20260817.0", "gvisor_sha512": {"x86_64": LOOSE}}, id="loose"
        ),
        pytest.param(
            {"gvisor_source": "apt", "gvisor_sha512": {"aarch64": {"runsc.deb": SHA}}}, id="apt"
        ),
        pytest.param(
            {"gvisor_source": "apt+https://m/x", "gvisor_sha512": {"x86_64": {"runsc.deb": SHA}}},
            id="a-mirror-of-apt",
        ),
        pytest.param(
            {"gvisor_release": "20260817.0", "gvisor_source": "/srv", "gvisor_sha512": {}}
            | {"gvisor_sha512": {"x86_64": LOOSE}},
            id="loose-files-in-a-directory-on-the-controller",
        ),
    ],
)
def test_a_source_and_its_sums_are_taken_together(data: dict[str, Any]) -> None:
    settings, problems = load_settings(data)

    assert settings, problems
    sums = data.get("gvisor_sha512", {})
    assert settings.archive.sha512 == sums


def test_the_timeout_goes_with_the_source() -> None:
    settings, problems = load_settings({"gvisor_download_timeout_s": 7})

    assert settings, problems
    assert settings.archive.download_timeout_s == 7


@pytest.mark.parametrize(
    ("data", "key", "message"),
    [
        pytest.param(
            {"gvisor_sha512": {"x86_64": {"README": SHA}}},
            "gvisor_sha512",
            "['x86_64'] not a file of a release, got README; write gvisor.tar.bz2 or runsc or ",
            id="no-such-file",
        ),
        pytest.param(
            {"gvisor_sha512": {"x86_64": {"runsc": SHA[:-1]}}},
            "gvisor_sha512",
            "['x86_64'] not a sha512 of runsc, got abab",
            id="short-sum-of-a-file",
        ),
        pytest.param(
            {"gvisor_source": "apt"},
            "gvisor_sha512",
            "the sha512 of runsc.deb is unknown, got gvisor.tar.bz2; set gvisor_sha512 = ",
            id="apt-without-a-sum",
        ),
        pytest.param(
            {"gvisor_release": "20260817.0", "gvisor_source": "github"}
            | {"gvisor_sha512": {"x86_64": LOOSE}},
            "gvisor_sha512",
            "GitHub has only archives, but releases up to 20260817.0 are loose files; use ",
            id="loose-files-from-github",
        ),
        pytest.param(
            {"gvisor_source": "ftp://me:secret@m/x"},
            "gvisor_source",
            "not a valid source, got ftp://m/x; write official, github, apt, debian, a URL or",
            id="password-of-a-bad-source",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_before_any_node_is_asked(
    data: dict[str, Any], key: str, message: str
) -> None:
    settings, problems = load_settings(data)

    assert settings is None
    assert list(problems) == [key]
    assert problems[key].startswith(message)
