"""``gvisor.runtimes`` and ``gvisor.link``: a wrapper for each runtime, and a link for people."""

from __future__ import annotations

import shlex

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, unpacked
from tests.cases.proven import INSTALLED, LINK
from tests.table import table
from tests.unit.answers import answer

RELEASE = "20260928.0"
PROFILES = {"runsc": Runtime()}
BOTH = {**PROFILES, "net": Runtime(network="sandbox")}


def test_wrappers_that_are_missing_are_written_and_no_others() -> None:
    nodes = {"a": Node([answer(**INSTALLED)])}

    Fleet(nodes).done(gvisor.runtimes, RELEASE, profiles=BOTH)

    net = wrapper("net", RELEASE, BOTH["net"])
    _, _, script, name, path, content = shlex.split(nodes["a"].of("wrappers").command)
    assert (name, path) == ("sh", net.path)
    assert unpacked(content) == net.text
    assert f"\nhost=@fake/a\nrelease={RELEASE}\n" in script


@table(
    "given, link",
    older=({"runsc_link": "/opt/gvisor/releases/20240729.0/runsc"}, LINK),
    none=({"without": ("runsc_link",)}, LINK),
    right=({"runsc_link": LINK}, ""),
    somebody_elses_link=({"runsc_link": "/usr/bin/runsc"}, ""),
    somebodys_file=({"without": ("runsc_link",), "runsc_file": "yes"}, ""),
)
def test_the_link_for_people_follows_the_release_if_it_is_ours(given: Data, link: str) -> None:
    nodes = {"a": Node([answer(**{**INSTALLED, **given})])}

    Fleet(nodes).done(gvisor.link, RELEASE)

    assert nodes["a"].acted() == (["link"] if link else [])
    if link:
        script = shlex.split(nodes["a"].of("link").command)[2]
        assert f"\ntarget={link}\n" in script


def test_an_overlay_that_the_release_has_not_is_refused_and_nothing_is_sent(caplog: Log) -> None:
    nodes = {"a": Node([answer()])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.runtimes, "20221219.0", profiles={"fast": Runtime(overlay="self")})
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.run()

    assert fleet.failed() == {"a"}
    assert nodes["a"].acted() == []
    assert (
        "gvisor.runtimes: 20221219.0 on @fake/a: overlay self of runtime fast needs release "
        "20231106.0 or later, got 20221219.0; use a later release" in caplog.text
    )
