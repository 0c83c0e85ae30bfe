"""Secrets in anybody's daemon.json, wherever they may be: nothing that people read shows them."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.util import get_kwargs_str

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.facts.source import _Url, question
from pyinfra_gvisor.operations import docker
from pyinfra_gvisor.settings import load_settings
from tests.arguments import Data, Log
from tests.cases import cli
from tests.cases.fleet import Fleet, Node
from tests.table import table
from tests.unit.answers import UNIT_FLAGS, answer, node

SECRET = "hunter2"  # noqa: S105 - a made-up one to look for
PROXY = f"http://ops:{SECRET}-proxy@10.0.0.1:3128"
FILE: dict[str, Any] = {
    "proxies": {"http-proxy": PROXY, "https-proxy": f"ops:{SECRET}-https@10.0.0.1:3128"},
    "log-driver": "splunk",
    "log-opts": {"splunk-token": f"{SECRET}-token", "splunk-url": f"https://u:{SECRET}-u@splunk"},
    "registry-mirrors": [f"https://m:{SECRET}-mirror@mirror.example"],
    "insecure-registries": [f"i:{SECRET}-insecure@10.0.0.2:5000"],
    "labels": [f"api-key={SECRET}-label"],
}
GOOD = {key: FILE[key] for key in ("proxies", "log-driver", "log-opts", "labels")}
WANTED = {"proxies": {"http-proxy": PROXY.replace("-proxy@", "-new@")}}


def owned(file: Mapping[str, Any]) -> Data:
    """Our records of a file, of which what is a list is ours."""
    wrote = {
        f"/{key}": {"wrote": value, "before": json.dumps(value), "earlier": [value]}
        for key, value in file.items()
        if isinstance(value, list)
    }
    return {
        "owned": {"original": json.dumps(file, indent=1), "paths": wrote},
        "applied": {"started_with": file, "loaded": file},
    }


TOLD: dict[str, Any] = {"daemon_json": json.dumps(GOOD, indent=2), "state": owned(FILE)}
FLAGS = [*UNIT_FLAGS, f"--http-proxy={PROXY}", "--log-opt", f"splunk-token={SECRET}-flag"]


@table(
    "arguments",
    dry_diff=["deploys/gvisor.py", "--dry", "--diff", "-vvv"],
    converge=["deploys/gvisor.py", "-y", "--diff", "-vvv"],
    audit=["deploys/audit.py", "-y", "-vvv"],
    fact=["fact", "pyinfra_gvisor.facts.node.NodeState"],
)
def test_no_run_shows_a_secret(tmp_path: Path, arguments: list[str]) -> None:
    # What is set by a flag, too, is refused.
    told = answer(**TOLD, flags=FLAGS if arguments[0] == "fact" else UNIT_FLAGS)
    data = {
        **cli.fake(told),
        "gvisor_daemon_json": {**WANTED, "userland-proxy": None},
        "gvisor_report_dir": "reports",
    }
    (tmp_path / "inventory.py").write_text(cli.inventory(run={"a": data}))
    (tmp_path / "deploys").symlink_to(cli.CHECKOUT / "deploys")

    ran = cli.pyinfra(tmp_path, "inventory.py", *arguments)

    reports = [path.read_text() for path in tmp_path.glob("reports/**/*") if path.is_file()]
    assert "@fake/a" in ran.stderr
    assert not [text for text in (ran.stdout, ran.stderr, *reports) if SECRET in text]
    if arguments[0] == "fact":
        assert "http://***@10.0.0.1:3128" in ran.stderr
    if "--diff" in arguments:
        assert ran.stderr.count('"http-proxy": "http://***@10.0.0.1:3128"') == 2
    if "deploys/audit.py" in arguments:
        assert reports


def test_the_file_that_is_sent_has_the_secrets_to_the_byte_and_the_diff_only_a_change(
    caplog: Log,
) -> None:
    file = {"dns": [], **GOOD}
    item = Node([answer(daemon_json=json.dumps(file, indent=2))])
    fleet = Fleet({"a": item}, DIFF=True)

    fleet.add(docker.daemon_json, WANTED, owner=GVISOR)
    text = caplog.text
    fleet.run()

    expected = json.dumps({**file, "proxies": {**file["proxies"], **WANTED["proxies"]}}, indent=2)
    sent = item.of("daemon.json")
    assert f"after_b64={base64.b64encode(expected.encode()).decode()}\n" in (sent.stdin or "")
    line = '    "http-proxy": "http://***@10.0.0.1:3128"'
    assert f"-{line}" in text
    assert f"+{line}" in text
    assert ' "dns": [],' in text
    assert SECRET not in text + sent.command


def refusals() -> Iterator[Any]:
    """Files of every secret key that are refused, in each of the ways that there are."""
    for key, value in FILE.items():
        whole = json.dumps(FILE, indent=2)
        yield pytest.param(whole.replace(f'"{key}": ', f'"{key}" '), id=f"{key}-no-colon")
        yield pytest.param(json.dumps({key: value})[:-1], id=f"{key}-cut-off")
        yield pytest.param(json.dumps({key: json.dumps(value)}), id=f"{key}-as-a-string")
        yield pytest.param(json.dumps({key: [[value]]}), id=f"{key}-in-a-list")
        yield pytest.param(json.dumps({key: {"a": {"b": value}}}), id=f"{key}-too-deep")
        yield pytest.param(json.dumps({f"{key}s": value}), id=f"{key}-mistyped")
    yield pytest.param(json.dumps(SECRET), id="bare-string")
    yield pytest.param(json.dumps([SECRET]), id="list")
    yield pytest.param(f'{{"http-proxy": {PROXY}}}', id="no-quotes")
    yield pytest.param(f"http-proxy: {PROXY}", id="yaml")
    yield pytest.param(json.dumps({"http-proxy": PROXY}), id="http-proxy-on-top")
    yield pytest.param(json.dumps({"metrics-addr": f"u:{SECRET}@h"}), id="metrics")
    yield pytest.param(json.dumps({"registry-mirrors": [f"u:{SECRET}@m"]}), id="mirror")
    yield pytest.param(json.dumps({"registry-mirrors": [f"https://u:{SECRET}@[m"]}), id="bracket")
    yield pytest.param(json.dumps({"log-opts": {"splunk-token": SECRET}}), id="other-driver")
    yield pytest.param(json.dumps({"auths": {f"https://u:{SECRET}@r": {"a": 1}}}), id="auths")
    yield pytest.param(json.dumps({"log-opts": {"max-size": f"https://u:{SECRET}@r"}}), id="size")


@pytest.mark.parametrize("text", [*refusals()])
def test_no_refusal_of_a_file_shows_a_secret(text: str) -> None:
    said: list[str] = []
    below = {"proxies": {"no-proxy": "a"}, "log-opts": {"tag": "x"}}
    for wanted in ({"live-restore": True}, below):
        try:
            plan_daemon_json(node(daemon_json=text), wanted)
        except Problem as problem:
            said.append(f"{problem} {problem.what} {problem.got} {problem.todo}")

    assert SECRET not in " ".join(said)


@pytest.mark.parametrize("key", FILE)
def test_another_owners_value_is_not_shown_when_two_want_different_ones(key: str) -> None:
    record = {"owned": {"paths": {f"/{key}": {"wrote": "x", "owners": ["theirs"]}}}}
    told = node(daemon_json=json.dumps({key: "x"}), state=record)

    with pytest.raises(Problem, match="has another owner, theirs") as refused:
        plan_daemon_json(told, {key: FILE[key]})

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("key", ["gvisor_daemon_json", "gvisor_daemon_json_if_absent"])
@table("value", string=json.dumps(FILE), list=[FILE], assignment=f"proxies={PROXY}")
def test_no_refusal_of_a_setting_shows_a_secret(key: str, value: object) -> None:
    mistyped = {f"{key}x": FILE, "gvisor_coolify_token": SECRET}

    _, problems = load_settings({key: value, **mistyped})

    assert set(problems) == {key, *mistyped}
    assert SECRET not in str(problems)


def test_pyinfras_own_messages_show_a_url_without_user_and_query() -> None:
    url = _Url(f"https://ops:{SECRET}@mirror.example/runsc?signature={SECRET}")

    assert get_kwargs_str({"urls": (url,)}) == "urls=('https://mirror.example/runsc?***',)"
    assert SECRET in question((url,)), "it is what the node asks for"
