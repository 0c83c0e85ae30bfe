"""What a node tells of the resolver, what an audit says to that, and what is done about it."""

from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import FoundFile
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.node.python import Python
from pyinfra_gvisor.parts.resolver.files import DIRECTORY, NAME, SERVICE, SOCKET, kept_files
from pyinfra_gvisor.parts.resolver.plan import lacks, plan_resolver
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import load_settings
from tests.table import table
from tests.unit.answers import answer
from tests.unit.audit.audited import audited, found
from tests.unit.resolver.resolver_answers import ABLE, there

BARE = ResolverState(**ABLE)
FILES = kept_files((), None)
ANSWER = "answer DNS queries of sandboxes at 169.254.53.53 port 53, as Docker does"
STAYS = "the resolver stays, because these containers use it: shop, db"
REMOVED = PartPlan("remove", ("stop the resolver", "remove 169.254.53.53 from lo"))
MAIN, STRAY = f"{DIRECTORY}/__main__.py", f"{DIRECTORY}/unfinished"
DOWN = {
    "no-socket": {"socket": "inactive"},
    "socket-unknown": {"socket": None},
    "program-failed": {"service": "failed"},
    "program-starts-again-and-again": {"service": "activating"},
}


def applied(*lines: str, files: Sequence[Any] = FILES) -> PartPlan:
    """The plan that says this, puts all files there and starts it."""
    return PartPlan("apply", (*lines, ANSWER), files=tuple(files))


def changed(**change: str) -> ResolverState:
    """A node on which somebody has changed the program."""
    found = there()
    found.files[MAIN] = found.files[MAIN].model_copy(update=change)
    return found


@table(
    "found, plan",
    not_there=(BARE, applied(*(f"write {item.path}" for item in FILES))),
    as_declared=(there(), PartPlan()),
    as_declared_and_asked=(there(asks=("1f",)), PartPlan()),
    **{name: (there(**states), applied()) for name, states in DOWN.items()},
    not_enabled=(there(enabled=False), applied()),
    content=(changed(sha256="0" * 64), applied(f"write {MAIN}")),
    mode=(changed(mode="777"), applied(f"write {MAIN}")),
    owner=(changed(owner="1000:0"), applied(f"write {MAIN}")),
    too_many=(there(strays=(*there().files, STRAY)), applied(f"remove {STRAY}")),
)
def test_a_declared_one_gets_what_it_lacks(found: ResolverState, plan: PartPlan) -> None:
    assert plan_resolver(found, True) == plan


@table("named, textfile_dir", other_resolvers=(("9.9.9.9",), None), textfile=((), "/srv/text"))
def test_what_is_declared_otherwise_is_written(named: Any, textfile_dir: str | None) -> None:
    files = kept_files(named, textfile_dir)

    first, second = (
        plan_resolver(found, True, named=named, textfile_dir=textfile_dir)
        for found in (there(), there(files))
    )

    assert first == applied(f"write {SERVICE}", files=files)
    assert second == PartPlan()


ASKED = ("shop", "db")


@table(
    "found, used_by, plan",
    all_of_it=(there(), (), REMOVED),
    broken=(there(socket="failed", service="failed"), (), REMOVED),
    a_unit=(ResolverState(files={SOCKET: FoundFile(sha256="0" * 64)}), (), REMOVED),
    a_stray=(ResolverState(strays=(STRAY,)), (), REMOVED),
    a_link=(ResolverState(enabled=True), (), REMOVED),
    not_there=(BARE, (), PartPlan()),
    not_there_and_asked=(BARE, ASKED, PartPlan()),
    asked=(there(), ASKED, PartPlan("keep", (STAYS,))),
    asked_and_not_enabled=(there(enabled=False), ASKED, PartPlan("keep", (STAYS,))),
    asked_and_too_many=(there(strays=(STRAY,)), ASKED, PartPlan("keep", (STAYS,))),
    asked_and_down=(there(service="failed"), ASKED, applied(STAYS)),
)
def test_an_undeclared_one_goes_unless_asked(found: ResolverState, used_by: Any, plan: Any) -> None:
    assert plan_resolver(found, False, used_by=used_by) == plan


@table(
    "directory",
    relative="text",
    blank="/a b",
    specifier="/a%h",
    lines="/a\nx=y",
    end="/a\n",
)
def test_a_directory_that_cannot_be_in_a_unit_is_refused(directory: str) -> None:
    with pytest.raises(Problem, match="cannot be written into a systemd unit, got ") as refused:
        plan_resolver(BARE, True, textfile_dir=directory)

    assert refused.value.todo == "write an absolute path of letters, digits and ._-"


NEEDS = 'runtimes with "dns": "docker" need'
INSTALL = "apt-get install python3"
SHARED = "`/` as a shared mount"
MINIMAL = "which python3-minimal lacks, got Python"


@table(
    "changes, message",
    no_asyncio=({"python": "3.13 json"}, f"Python's asyncio, {MINIMAL} 3.13; {INSTALL}"),
    neither_module=(
        {"python": "3.11"},
        f"Python's asyncio and ctypes, {MINIMAL} 3.11; {INSTALL}",
    ),
    no_ip=({"ip": False}, "ip, got none; apt-get install iproute2"),
    private_mounts=(
        {"shared": False},
        f"{SHARED}, got a private mount; run `mount --make-rshared /` at every boot",
    ),
    no_systemd=(
        {"init": "init", "python": "3.13 asyncio"},
        'systemd on the node, got init; remove "dns" from gvisor_runtimes for this node',
    ),
    debian_13=({}, None),
    the_oldest=({"python": "3.10 asyncio ctypes"}, None),
    setns_without_ctypes=({"python": "3.12 asyncio"}, None),
)
def test_a_node_on_which_it_could_not_run_is_refused_and_no_other(
    changes: Any, message: str | None
) -> None:
    problem = lacking(**changes)

    assert (problem and str(problem)) == (message and f"{NEEDS} {message}")


def lacking(
    python: str = "3.13 asyncio ctypes", init: str = "systemd", **changes: Any
) -> Problem | None:
    """Why a node with this Python, init and these changes is refused."""
    return lacks(ResolverState(**{**ABLE, **changes}), Python.of(python), init=init)


NEEDS_STACK = '[\'net\'] dns "docker" needs network "sandbox"'
SHOULD_BE = "['net']['dns'] must be 'docker', got"
REMOVE_DNS = (
    '; remove "dns" (with network "host" Docker\'s own resolver answers), or set network "sandbox"'
)


def refusal(**asked: Any) -> str:
    """What is said of a runtime that must be refused, at its key."""
    settings, problems = load_settings({"gvisor_runtimes": {"net": asked}})
    assert settings is None
    assert list(problems) == ["gvisor_runtimes"]
    return problems["gvisor_runtimes"]


def test_a_runtime_has_no_names_of_dockers_unless_it_asks_for_them() -> None:
    assert Runtime().dns is None
    assert Runtime(network="sandbox").dns is None
    assert Runtime(network="sandbox", dns=None).dns is None
    assert Runtime(network="sandbox", dns="docker").dns == "docker"


@table(
    "asked, said",
    host=({"network": "host", "dns": "docker"}, f"{NEEDS_STACK}, got host{REMOVE_DNS}"),
    none=({"network": "none", "dns": "docker"}, f"{NEEDS_STACK}, got none{REMOVE_DNS}"),
    empty=({"network": "sandbox", "dns": ""}, SHOULD_BE),
    capital=({"network": "sandbox", "dns": "Docker"}, f"{SHOULD_BE} Docker"),
    true=({"network": "sandbox", "dns": True}, f"{SHOULD_BE} True"),
    address=({"network": "sandbox", "dns": "9.9.9.9"}, f"{SHOULD_BE} 9.9.9.9"),
)
def test_they_are_for_gvisors_own_stack_alone_and_have_no_other_value(
    asked: dict[str, Any], said: str
) -> None:
    assert refusal(**asked).rstrip() == said


@table("line", cut_short="sum", no_path=f"stat {SERVICE}")
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node([f"resolver {line}", *answer()])


NETSTACK = {"gvisor_runtimes": {"gvisor": {"network": "sandbox", "dns": "docker"}}}
HOSTINET = {"gvisor_runtimes": {"runsc": {"network": "host"}}}
ID = "f" * 64


def told(*more: str, without: str = "", other: str = "", **states: str) -> list[str]:
    """What a node tells that has all of it; ``other``: a file that is another there."""
    known = {"socket": "active", "service": "active", **states}
    lines = [f"{kind} {state}" for kind, state in known.items() if state]
    for item in kept_files((), None):
        if item.path != without:
            digest = "0" * 64 if item.path == other else item.sha256
            lines += [f"sum {digest} {item.path}", f"stat {item.mode}:0:0 {item.path}"]
    return [f"resolver {line}" for line in (*lines, "enabled", *more)]


def looked(lines: Sequence[str], settings: dict[str, Any] | None = None) -> dict[str, Finding]:
    """What an audit finds of the resolver, by ``rule subject``."""
    report = audited(*lines, settings=settings or NETSTACK, answer=answer())
    return {key: item for key, item in found(report).items() if item.id.startswith("resolver-")}


def test_a_node_as_declared_is_clean_and_one_without_such_a_runtime_needs_no_resolver() -> None:
    assert looked(told()) == looked([], HOSTINET) == {}


@table(
    "states, evidence",
    program=({"service": "failed"}, "its service is failed"),
    sockets=({"socket": "inactive"}, "its socket is inactive"),
    all=({"socket": "", "service": ""}, "its socket is missing and its service is missing"),
)
def test_a_resolver_that_is_down_is_found(states: dict[str, str], evidence: str) -> None:
    finding = looked(told(**states))[f"resolver-down {NAME}"]

    assert finding.severity is Severity.HIGH
    assert finding.evidence == f"{evidence}; used by gvisor"


def test_a_container_that_still_asks_it_counts_where_nothing_is_declared() -> None:
    finding = looked(told(f"asks {ID}", service="failed"), HOSTINET)[f"resolver-down {NAME}"]

    assert finding.evidence == f"its service is failed; used by {ID[:12]}"


EVIL = f"{DIRECTORY}/evil.py"
NOT_ENABLED = [line for line in told() if line != "resolver enabled"]
GONE_AT_BOOT = "its socket is not enabled: the resolver will not run after a reboot"


@table(
    "lines, subject, evidence",
    changed=(told(other=SERVICE), SERVICE, "the file was changed"),
    missing=(told(without=SERVICE), SERVICE, "the file is missing"),
    more_than_ours=(told(f"stray {EVIL}"), EVIL, "the file is not part of the resolver"),
    not_enabled=(NOT_ENABLED, NAME, GONE_AT_BOOT),
)
def test_what_is_not_as_it_was_installed_is_found(lines: Any, subject: str, evidence: str) -> None:
    findings = looked(lines)

    assert {key: item.evidence for key, item in findings.items()} == {
        f"resolver-not-as-declared {subject}": evidence
    }
