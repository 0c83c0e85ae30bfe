"""What an audit tells of apps in gVisor, and that its look ends no audit."""

from tests.table import table
from tests.unit.apps.looked import looked, looked_lines
from tests.unit.audit.audited import audited

DECLARED = {"gvisor_runtimes": {"runsc": {}}}
SEEN = [f"look {line}" for line in looked_lines(looked(Privileged=True))]


def test_an_audit_tells_what_differs_and_does_not_fail_for_it() -> None:
    without = audited(settings=DECLARED)

    report = audited("look_begins", *SEEN, settings=DECLARED)

    assert report.apps
    assert [app.name for app in report.apps.apps if app.differences] == ["shop"]
    assert (report.findings, report.state) == (without.findings, without.state)


@table(
    "lines",
    killed=SEEN[:-1],
    no_answer=[],
    no_json=["look app {", SEEN[-1]],
    of_another_form=['look app {"Id":[]}', SEEN[-1]],
    too_deep=["look app " + "[" * 100_000, SEEN[-1]],
)
def test_a_look_that_did_not_finish_is_told_and_ends_no_audit(lines: list[str]) -> None:
    report = audited("look_begins", *lines, settings=DECLARED)

    assert (report.apps, report.error) == (None, None)
    assert "did not finish within 20 s" in (report.apps_error or "")
