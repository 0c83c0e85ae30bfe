"""
What a node and its fleet tell others: alerts and panels in a real Prometheus, what the node says of
its isolation, and a signed statement.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from pyinfra_gvisor.command.statement import NAMESPACE
from pyinfra_gvisor.parts.keeper.files import NAME as KEEPER
from pyinfra_gvisor.parts.keeper.files import TELLS
from pyinfra_gvisor.parts.keeper.isolation import FILE, Isolation
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.containers import must, start_container
from tests.node.running import PROVEN
from tools.lab import FLAVOURS, LabNode, NodeSpec

WITH_PROMETHEUS = replace(
    FLAVOURS["debian-13"],
    name="debian-13-prometheus",
    image=None,
    base="debian-13",
    packages=(*FLAVOURS["debian-13"].packages, "prometheus", "prometheus-node-exporter"),
)
PUBLISHED = Path("pyinfra_gvisor/published")
RULES = PUBLISHED / "prometheus.rules.yml"
PANELS = json.loads((PUBLISHED / "grafana.dashboard.json").read_text())["panels"]
OURS = (sys.executable, "-P", "-m", "pyinfra_gvisor.command")
TEXTFILES = "/var/lib/prometheus/node-exporter"
CONFIG = """
global: {scrape_interval: 2s, evaluation_interval: 2s}
rule_files: [/etc/prometheus/gvisor.yml]
scrape_configs:
  - {job_name: run-nodes, static_configs: [{targets: ['127.0.0.1:9100']}]}
"""

REAL = {"GvisorNodeNotCompliant", "GvisorContainerUnsandboxed", "GvisorHostNotChecked"}
"""Those whose causes a real node has."""

DAY = 24 * 60  # in samples, one a minute
WELL: Mapping[str, str] = {
    "up{}": "1x{n}",
    "gvisor_node_compliant{}": "1x{n}",
    'gvisor_finding{id="userns-remap",severity="medium",}': "1x{n}",
    "gvisor_proof_holds{}": "1x{n}",
    "gvisor_last_proof_timestamp_seconds{}": "0x{n}",
    "gvisor_last_audit_timestamp_seconds{}": "0+60x{n}",
    'gvisor_release_info{release="20260928.0",}': "1x{n}",
    'gvisor_release_timestamp_seconds{release="20260928.0",}': "0x{n}",
    "gvisor_egress_in_force{}": "1x{n}",
    'gvisor_in_force{part="egress",}': "1x{n}",
    'gvisor_in_force{part="kernel",}': "1x{n}",
    "gvisor_keeper_last_run_timestamp_seconds{}": "0+60x{n}",
    "gvisor_watch_last_run_timestamp_seconds{}": "0+60x{n}",
    "gvisor_watch_unsandboxed{}": "0x{n}",
    'gvisor_container_memory_bytes{container="web",}': "10x{n}",
    'gvisor_container_memory_limit_bytes{container="web",}': "100x{n}",
    'gvisor_container_oom_kills_total{container="web",}': "0x{n}",
    'gvisor_container_restarts_total{container="web",}': "0+1x1 1x{n}",
    'gvisor_container_throttled_seconds_total{container="web",}': "0+1x{n}",
    'gvisor_container_unimplemented_syscalls_total{container="web",}': "3x{n}",
    "gvisor_fleet_host_checked{}": "1x{n}",
    "gvisor_fleet_host_proof_holds{}": "1x{n}",
    "gvisor_fleet_host_last_check_timestamp_seconds{}": "0+60x{n}",
}
"""A node, by its series: the labels that it shares are added."""

GONE = "_x{n}"
SOON, HOUR = 20, 80  # samples
CAUSES: Mapping[str, tuple[int, Mapping[str, str]]] = {
    "GvisorNodeDown": (
        SOON,
        {"up": "1x5 0x{n}", "gvisor_last_audit_timestamp_seconds": "0+60x5 _x{n}"},
    ),
    "GvisorNodeNotCompliant": (SOON, {"gvisor_node_compliant": "0x{n}"}),
    "GvisorKnownEscape": (SOON, {'gvisor_finding{id="release-escape",}': "1x{n}"}),
    "GvisorNeverProven": (
        HOUR,
        {"gvisor_proof_holds": "0x{n}", "gvisor_last_proof_timestamp_seconds": GONE},
    ),
    "GvisorProofStale": (HOUR, {"gvisor_proof_holds": "1x5 0x{n}"}),
    "GvisorAuditSilent": (DAY + 10, {"gvisor_last_audit_timestamp_seconds": "0x{n}"}),
    "GvisorAuditMissing": (HOUR, {"gvisor_last_audit_timestamp_seconds": GONE}),
    "GvisorReleaseBehind": (SOON, {"gvisor_release_timestamp_seconds": "-7776000x{n}"}),
    "GvisorReleasesDiffer": (
        3 * DAY + 10,
        {"gvisor_release_info": GONE, 'gvisor_release_info{release="20261005.0",}': "1x{n}"},
    ),
    "GvisorFirewallNotInForce": (SOON, {"gvisor_egress_in_force": "0x{n}"}),
    "GvisorNotInForce": (SOON, {'gvisor_in_force{part="kernel",}': "1x5 0x{n}"}),
    "GvisorKeeperSilent": (SOON, {"gvisor_keeper_last_run_timestamp_seconds": "0x{n}"}),
    "GvisorWatchSilent": (SOON, {"gvisor_watch_last_run_timestamp_seconds": "0x{n}"}),
    "GvisorContainerUnsandboxed": (SOON, {"gvisor_watch_unsandboxed": "2x{n}"}),
    "GvisorContainerNearMemoryLimit": (HOUR, {"gvisor_container_memory_bytes": "95x{n}"}),
    "GvisorContainerOutOfMemory": (HOUR, {"gvisor_container_oom_kills_total": "0x60 1x{n}"}),
    "GvisorContainerThrottled": (
        HOUR,
        {"gvisor_container_throttled_seconds_total": "0+30x{n}"},
    ),
    "GvisorLacksSystemCalls": (
        HOUR,
        {"gvisor_container_unimplemented_syscalls_total": "3x60 9x{n}"},
    ),
    "GvisorHostNotChecked": (SOON, {"gvisor_fleet_host_checked": "0x{n}"}),
    "GvisorHostNotProven": (HOUR, {"gvisor_fleet_host_proof_holds": "0x{n}"}),
    "GvisorFleetSilent": (
        DAY + 10,
        {"gvisor_fleet_host_last_check_timestamp_seconds": "0x{n}"},
    ),
}


def _series(instance: str, changed: Mapping[str, str], samples: int) -> list[dict[str, str]]:
    known = {
        name: changed.get(name, changed.get(name.partition("{")[0], values))
        for name, values in {**changed, **WELL}.items()
        if "{" in name
    }
    labels = f'job="run-nodes",instance="{instance}"}}'
    return [
        {"series": name.replace("}", labels), "values": values.format(n=samples)}
        for name, values in known.items()
    ]


def _case(alert: str | None, samples: int, changed: Mapping[str, str]) -> dict[str, Any]:
    """A good node beside one that differs; all alerts that fire then, and no other."""
    firing = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else []
    expr = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "name": alert or "all is well",
        "interval": "1m",
        "input_series": _series("run-1", {}, samples) + _series("run-2", changed, samples),
        "promql_expr_test": [{"expr": expr, "eval_time": f"{samples - 1}m", "exp_samples": firing}],
    }


@dataclass(frozen=True)
class Scraped:
    """A node with Prometheus, a fleet with a host that is not there, and what was seen."""

    node: LabNode
    directory: Path
    fleet: str
    alerts: dict[str, dict[str, str]]


def _asked(node: LabNode, path: str) -> Any:
    """What Prometheus answers."""
    answer = json.loads(sh(node, f"curl -sf 'http://127.0.0.1:9090/api/v1/{path}'"))
    assert answer["status"] == "success"
    return answer["data"]


def _firing(node: LabNode) -> dict[str, dict[str, str]]:
    """The labels of each alert that fires."""
    alerts = _asked(node, "alerts")["alerts"]
    return {
        item["labels"]["alertname"]: item["labels"] for item in alerts if item["state"] == "firing"
    }


@pytest.fixture(scope="module")
def node() -> Iterator[LabNode]:
    """A node with Prometheus and its exporter."""
    with lab_of(f"{LAB}-metrics", {"scraped": NodeSpec(WITH_PROMETHEUS)}) as nodes:
        yield nodes["scraped"]


def _declared(node: LabNode) -> dict[str, Any]:
    """The settings of the node."""
    return {
        **node.host_data(),
        "_sudo": True,
        **PROVEN,
        "gvisor_egress": {},
        "gvisor_watch": True,
        "gvisor_watch_interval_s": 10,
        "gvisor_must_sandbox": [{"name": "*web"}],
        "gvisor_textfile_dir": TEXTFILES,
        "gvisor_report_dir": "reports",
    }


@pytest.fixture(scope="module")
def scraped(node: LabNode, tmp_path_factory: pytest.TempPathFactory) -> Scraped:
    """The same, deployed and audited beside a host that does not answer."""
    directory = tmp_path_factory.mktemp("metrics")
    subprocess.run([*OURS, "init", "--directory", "fleet", "x"], cwd=directory, check=True)
    fleet = directory / "fleet"
    for name in ("run", "build", "coolify"):
        (fleet / f"group_data/{name}.py").unlink()
    data = _declared(node)
    hosts = [("here", data), ("gone", {**data, "ssh_port": 1})]
    (fleet / "inventories/run.py").write_text(f"run = {hosts!r}\n")
    subprocess.run([*OURS, "apply", "-y", "--limit", "here"], cwd=fleet, check=True)
    start_container(node, "web", "--runtime=runsc", "--memory=256m", "--label=coolify.name=shop")
    start_container(node, "loose-web")
    sh(node, f"systemctl start {KEEPER}.service")
    subprocess.run([*OURS, "audit"], cwd=fleet, check=False)
    text = (fleet / "reports/fleet.prom").read_bytes()
    node.put_files(
        {
            f"{TEXTFILES}/fleet.prom": (text, 0o644),
            "/etc/prometheus/gvisor.yml": (RULES.read_bytes(), 0o644),
            "/etc/prometheus/prometheus.yml": (CONFIG.encode(), 0o644),
        }
    )
    sh(node, "systemctl restart prometheus prometheus-node-exporter")
    sh(node, "until curl -sf 127.0.0.1:9090/-/ready; do sleep 0.5; done")
    for _ in range(60):
        if _firing(node).keys() >= REAL:
            break
        time.sleep(1)
    return Scraped(node, fleet, text.decode(), _firing(node))


def test_each_alert_fires_by_its_cause_alone(node: LabNode) -> None:
    """A forged cause for each alert, beside a node on which all is well."""
    known = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"]
             for rule in group["rules"]]  # fmt: skip
    cases = [_case(None, HOUR, {}), *(_case(name, *cause) for name, cause in CAUSES.items())]
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases}

    node.put_files(
        {
            "/srv/rules.yml": (RULES.read_bytes(), 0o644),
            "/srv/tests.yml": (yaml.safe_dump(tests).encode(), 0o644),
        }
    )
    checked = node.exec("promtool", "check", "rules", "/srv/rules.yml")
    tested = node.exec("promtool", "test", "rules", "/srv/tests.yml")

    assert [*CAUSES] == known
    assert checked.code == 0, checked.stdout + checked.stderr
    assert tested.code == 0, (tested.stdout + tested.stderr)[-4000:]


def test_what_is_wrong_on_a_real_node_fires_in_a_real_prometheus(scraped: Scraped) -> None:
    alerts = scraped.alerts

    assert alerts.keys() >= REAL
    assert alerts["GvisorHostNotChecked"]["host"] == "gone"
    assert not alerts.keys() & {"GvisorKnownEscape", "GvisorProofStale", "GvisorNotInForce"}


def test_every_panel_has_data_of_a_real_node(scraped: Scraped) -> None:
    asked = {
        target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        for panel in PANELS
        for target in panel.get("targets", ())
    }
    for _ in range(30):  # a rate needs two samples
        asked = {
            expr
            for expr in asked
            if not _asked(scraped.node, f"query?query={quote(expr)}")["result"]
        }
        if not asked:
            break
        time.sleep(2)

    assert asked == set()


def test_the_release_in_force_is_what_dockerd_starts(scraped: Scraped) -> None:
    must(scraped.node, "test", "-e", f"{TEXTFILES}/pyinfra_gvisor.prom")
    # Debian's own settings of Prometheus may have read the node before, as another job.
    ours = quote('{job="run-nodes"}')
    (found,) = _asked(scraped.node, f"query?query=gvisor_release_info{ours}")["result"]
    (held,) = _asked(scraped.node, f"query?query=gvisor_proof_holds{ours}")["result"]

    assert found["metric"]["release"] == PROVEN["gvisor_release"]
    assert held["value"][1] == "1"
    assert 'gvisor_fleet_host_compliant{host="gone"} 0\n' in scraped.fleet


def _isolation(node: LabNode) -> tuple[int, Isolation]:
    """What the node tells an ordinary user after the keeper has looked, and the exit code."""
    node.exec("systemctl", "start", f"{KEEPER}.service")
    asked = node.exec("runuser", "-u", "nobody", "--", TELLS)
    return asked.code, Isolation.model_validate_json(asked.stdout)


def test_a_node_tells_everybody_whether_its_isolation_holds(scraped: Scraped) -> None:
    node, path = scraped.node, "/etc/docker/daemon.json"
    code, told = _isolation(node)
    sh(node, f"cp -p {path} /root/kept; echo >> {path}")
    edited = _isolation(node)
    sh(node, f"cp -p /root/kept {path}")
    again = _isolation(node)
    sh(node, f"touch -d '-10 min' {FILE}")
    silent = node.exec(TELLS)

    assert (code, told.holds, told.why) == (0, True, ())
    runsc = told.runtimes["runsc"]
    assert (runsc.release, runsc.network) == (PROVEN["gvisor_release"], "host")
    assert told.in_force == {"egress": True, "runtimes": True, "release": True}
    assert told.proof is not None
    sum_, _, _ = sh(node, "sha256sum /var/lib/pyinfra-gvisor/proof.json").partition(" ")
    assert (told.proof.at, told.proof.sha256) == (told.proof.held_at, sum_)
    assert edited[0] == 1
    assert edited[1].why == ("daemon.json is another one than was proven",)
    assert again == (0, told.model_copy(update={"at": again[1].at}))
    assert (silent.code, Isolation.model_validate_json(silent.stdout).holds) == (1, False)


def test_a_statement_is_verified_by_another_machine_and_refused_after_one_byte(
    scraped: Scraped,
) -> None:
    directory, node = scraped.directory, scraped.node
    keygen = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
    subprocess.run(keygen, cwd=directory, check=True)

    made = subprocess.run(
        [*OURS, "statement", "--key", "key", "--app", "web"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert made.returncode == 1, made.stderr  # one host does not answer
    here, gone = json.loads((directory / "statement/statement.json").read_text())["nodes"][::-1]
    assert [(item["name"], item["verdict"]) for item in here["containers"]] == [
        ("web", "sandboxed")
    ]
    assert (here["others"]["bare"], here["proof"]["holds"]) == (1, True)
    assert gone["error"]
    assert "loose-web" not in made.stdout
    signer = f"operator {(directory / 'key.pub').read_text()}"
    files = {f"/srv/{path.name}": path.read_bytes() for path in (directory / "statement").iterdir()}
    files["/srv/signers"] = signer.encode()
    node.put_files({path: (content, 0o644) for path, content in files.items()})
    verify = f"ssh-keygen -Y verify -f /srv/signers -I operator -n {NAMESPACE} -s"
    for name in ("statement.txt", "statement.json"):
        assert "Good" in sh(node, f"{verify} /srv/{name}.sig < /srv/{name}")
        changed = f"sed 's/sandboxed/unverified/; s/seen in/sent to/' /srv/{name}"
        assert node.exec("sh", "-c", f"{changed} | {verify} /srv/{name}.sig").code != 0
        one_byte = f"{{ cat /srv/{name}; echo; }} | {verify} /srv/{name}.sig"
        assert node.exec("sh", "-c", one_byte).code != 0
