"""``gvisor.release``, ``gvisor.runtimes`` and ``gvisor.link``: files, wrappers and a link."""

import hashlib
import io
import shlex
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.facts import deadline
from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.releases.sources import Archive
from pyinfra_gvisor.run_support import installing
from pyinfra_gvisor.run_support.installing import SHOWN_EVERY_S, Progress
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.arguments import Data, Log, Patch
from tests.cases.fleet import Fleet, Node, Reply, unpacked
from tests.cases.proven import INSTALLED, LINK
from tests.table import table
from tests.unit.answers import END, answer, installed

RELEASE = "20260928.0"
CONTENT = b"archive"
SUM = hashlib.sha512(CONTENT).hexdigest()
BARE = answer()
THERE = answer(releases=["20240729.0", RELEASE])


def recorded(**sha512: str) -> list[str]:
    """The answer of a node that has the release, with these sums in its manifest."""
    sums = {name.replace("_", "."): digest for name, digest in sha512.items()}
    return [*BARE[:-1], *installed(RELEASE, sha512=sums), END]


def asked(told: list[str], archive: Archive, release: str = RELEASE, **replies: Reply) -> Node:
    """A host that answers so, after it was asked for a release."""
    item = Node([told], replies)
    Fleet({"a": item}).done(gvisor.release, release, archive=archive)
    return item


def test_an_official_release_is_fetched_with_its_checksum_and_debians_package_needs_none() -> None:
    arch = "aarch64"
    item = asked(answer(uname=f"6.12.9 {arch}"), Archive())
    debians = asked(BARE, Archive("debian"), "20240729.0").of("release").command

    command = item.of("release").command
    url = f"https://storage.googleapis.com/gvisor/releases/release/{RELEASE}/{arch}/gvisor.tar.bz2"
    for line in ("source=url", f"arch={arch}", f"release={RELEASE}"):
        assert f"{line}\n" in command
    pin = known(RELEASE, arch)["gvisor.tar.bz2"]
    assert command.endswith(f" sh gvisor.tar.bz2 {pin} {url} {url}")
    assert "source=debian\n" in debians
    assert debians.endswith("' sh")


def uploading(tmp_path: Path) -> Archive:
    """A source on the controller."""
    (tmp_path / "gvisor-x86_64.tar.bz2").write_bytes(CONTENT)
    return Archive(f"{tmp_path}/gvisor-{{arch}}.tar.bz2", {"x86_64": SUM})


def test_a_file_on_the_controller_is_uploaded_and_its_upload_removed_whether_it_fails_or_not(
    tmp_path: Path, caplog: Log
) -> None:
    there = Node([recorded(gvisor_tar_bz2=SUM)])
    nodes = {"a": Node([BARE]), "bad": Node([BARE], {"upload": Reply(ok=False)}), "there": there}

    fleet = Fleet(nodes).done(gvisor.release, RELEASE, archive=uploading(tmp_path), _sudo=True)

    upload, install, remove = nodes["a"].sent[-3:]
    remote = fleet.host("a").get_temp_filename(f"{tmp_path}/gvisor-x86_64.tar.bz2")
    assert (upload.kind, install.kind) == ("upload", "release")
    assert remote in upload.command
    assert "source=file\n" in install.command
    assert f" sh gvisor.tar.bz2 {SUM} {remote} {tmp_path}/gvisor-x86" in install.command
    assert install.sudo
    assert remove.command == f"rm -f {remote}"
    assert fleet.failed() == {"bad"}
    assert nodes["bad"].kinds()[-2] == "upload", "nothing is installed"
    assert nodes["bad"].sent[-1].command.startswith("rm -f ")
    assert f"gvisor.release: {RELEASE} on @fake/bad: the upload failed, got " in caplog.text


@table(
    "asked, kinds",
    content_is_right=(Reply(), ["release"]),
    files_are_needed=(Reply(ok=False), ["release", "upload", "release"]),
)
def test_a_damaged_release_is_looked_at_before_an_upload_and_its_repair_said(
    tmp_path: Path, asked: Reply, kinds: list[str], caplog: Log
) -> None:
    item = Node([answer(damaged=[RELEASE])], {"release": asked})
    online = Node([answer(damaged=[RELEASE])])
    nodes = {"a": item, "b": Node([recorded(gvisor_tar_bz2=SUM)])}

    Fleet(nodes).done(gvisor.release, RELEASE, archive=uploading(tmp_path))
    Fleet({"a": online}).done(gvisor.release, RELEASE, archive=Archive())

    assert [kind for kind in nodes["a"].acted() if kind in ("release", "upload")] == kinds
    assert "source=none\n" in nodes["a"].sent[1].command
    assert online.acted() == ["release"]
    assert f"repair runsc {RELEASE} from https" in caplog.text


@table(
    "there, why",
    without_a_sum=(recorded(), "the manifest has no sha512 of gvisor.tar.bz2"),
    another_sum=(
        recorded(gvisor_tar_bz2="0" * 128),
        "gvisor.tar.bz2: the manifest has sha512 000000000000…, but c8d3a9fd4d4c… is pinned",
    ),
    of_another_kind=(
        recorded(runsc_deb="0" * 128),
        "the manifest has no sha512 of gvisor.tar.bz2, only of runsc.deb",
    ),
)
def test_a_release_of_other_files_is_fetched_again(there: list[str], why: str, caplog: Log) -> None:
    item = asked(there, Archive())

    assert item.acted() == ["release"]
    assert "fresh=yes\n" in item.of("release").command
    assert f"fetch runsc {RELEASE} again from https://storage" in caplog.text
    assert f"the files on the node are not the pinned ones ({why})" in caplog.text


def test_the_settings_pin_counts_and_without_one_an_upload_needs_no_look_nor_debians_any(
    tmp_path: Path,
) -> None:
    pins = {"x86_64": {"runsc": "1" * 128, "containerd-shim-runsc-v1": "2" * 128}}
    sums = {"runsc": "1" * 128, "containerd-shim-runsc-v1": "2" * 128}
    right = [*BARE[:-1], *installed(RELEASE, sha512=sums), END]
    half = [*BARE[:-1], *installed(RELEASE, sha512={"runsc": "1" * 128}), END]
    nodes = {"right": Node([right]), "half": Node([half]), "known": Node([THERE])}

    Fleet(nodes).done(gvisor.release, RELEASE, archive=Archive("https://m/{file}", pins))
    item = asked(recorded(), uploading(tmp_path))
    debians = [asked(told, Archive("debian")) for told in (recorded(), THERE)]

    assert nodes["right"].acted() == []
    assert nodes["half"].acted() == nodes["known"].acted() == ["release"]
    assert [kind for kind in item.acted() if kind in ("release", "upload")] == ["upload", "release"]
    assert [one.acted() for one in debians] == [[], []]


@table(
    "terminal, takes_s, shown",
    fast=(True, 0.0, 0),
    slow=(True, SHOWN_EVERY_S, 10),
    no_terminal=(False, SHOWN_EVERY_S, 0),
)
def test_on_a_terminal_an_upload_that_takes_long_is_shown(
    terminal: bool, takes_s: float, shown: int, caplog: Log, monkeypatch: Patch
) -> None:
    clock = count(step=takes_s)
    monkeypatch.setattr(installing, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(installing, "is_terminal", lambda: terminal)
    host = Fleet({"a": Node([BARE])}).host("a")
    caplog.clear()
    size_bytes = 16_000_000
    file = Progress(io.BytesIO(bytes(size_bytes)), size_bytes, host, "gvisor.tar.bz2")

    while file.read(32768):
        pass

    assert caplog.text.count("upload gvisor.tar.bz2 [") == shown
    assert ("upload gvisor.tar.bz2 [#####-----] 50 % of 16 MB" in caplog.text) is bool(shown)


def test_what_the_node_downloads_may_take_as_long_as_it_makes_progress() -> None:
    fleet = Fleet({"a": Node([BARE])})
    connector = fleet.host("a").connector
    answered, kinds = connector.run_shell_command, []

    def keep(command: StringCommand, **named: Any) -> Any:
        kinds.append(type(command))
        return answered(command, **named)

    connector.run_shell_command = keep  # type: ignore[method-assign,assignment]

    fleet.add(gvisor.release, RELEASE, archive=Archive("official"))
    fleet.run()

    assert kinds.count(deadline.Download) == 1


def test_a_release_without_a_checksum_and_what_is_no_release_never_reach_a_node() -> None:
    nodes = {"a": Node([BARE]), "b": Node([answer(releases=["20250101.0"])])}
    mirror = Archive("https://mirror.example/x.tar")
    odd = Node([BARE])

    fleet = Fleet(nodes).done(gvisor.release, "20250101.0", archive=mirror)
    alone = Fleet({"a": odd})
    alone.add(gvisor.release, "../../tmp/x", archive=Archive("debian"))
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        alone.run()

    assert fleet.failed() == {"a"}
    assert set(nodes["a"].kinds()) == set(odd.kinds()) == {"state"}


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
