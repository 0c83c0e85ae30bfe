"""What of daemon.json people see: that a secret is there, that it changes, and nothing else."""

import json
import subprocess

import pytest

from pyinfra_gvisor.base.redaction import (
    secrets_in,
    sed_program,
    shown,
    shown_json,
    shown_line,
    shown_words,
)
from tests.arguments import Data
from tests.table import table

SECRET = "hunter2"  # noqa: S105 - a made-up one to look for

PLANTED = {
    "proxy": {"proxies": {"http-proxy": f"http://ops:{SECRET}@10.0.0.1:3128"}},
    "no-scheme": {"proxies": {"https-proxy": f"ops:{SECRET}@10.0.0.1:3128"}},
    "user-is-the-token": {"proxies": {"http-proxy": f"http://{SECRET}@10.0.0.1"}},
    "odd-password": {"proxies": {"http-proxy": f"http://o:a/b@{SECRET}@10.0.0.1"}},
    "proxies-as-a-string": {"proxies": f"http://ops:{SECRET}@10.0.0.1"},
    "on-the-top-level": {"http-proxy": f"http://ops:{SECRET}@10.0.0.1"},
    "client-s": {"proxies": {"default": {"httpProxy": f"http://o:{SECRET}@p"}}},
    "mirror": {"registry-mirrors": [f"https://u:{SECRET}@mirror.example"]},
    "mirror-without-scheme": {"registry-mirrors": [f"u:{SECRET}@mirror.example"]},
    "query": {"registry-mirrors": [f"https://mirror.example/?key={SECRET}"]},
    "insecure": {"insecure-registries": [f"u:{SECRET}@10.0.0.1:5000"]},
    "splunk": {"log-opts": {"splunk-token": SECRET}},
    "url": {"log-opts": {"splunk-url": f"https://x:{SECRET}@splunk.example"}},
    "logentries": {"log-opts": {"logentries-token": SECRET}},
    "plugin": {"log-opts": {"dd-api-key": SECRET}},
    "aws": {"log-opts": {"awslogs-credentials-endpoint": f"/v2/{SECRET}"}},
    "sumo": {"log-opts": {"sumo-url": f"https://collectors.example/{SECRET}"}},
    "options-as-a-string": {"log-opts": f"splunk-token={SECRET}"},
    "options-as-a-list": {"log-opts": [f"splunk-token={SECRET}"]},
    "option-as-a-list": {"log-opts": {"splunk-token": [SECRET]}},
    "option-as-an-object": {"log-opts": {"splunk-token": {"a": SECRET}}},
    "cluster-store": {"cluster-store-opts": {"kv.password": SECRET}},
    "cluster-store-url": {"cluster-store": f"consul://u:{SECRET}@10.0.0.1/p"},
    "auth": {"auths": {"r.example": {"auth": SECRET}}},
    "whole-auths": {"auths": {"r.example": {"username": SECRET}}},
    "a-key": {"auths": {f"https://u:{SECRET}@r.example": {}}},
    "headers": {"HttpHeaders": {"X-Meta": SECRET}},
    "option-in-a-list": {"storage-opts": [f"x.Password={SECRET}"]},
    "label": {"labels": [f"api_key={SECRET}"]},
    "unknown": {"nobody": {"knows": {"client-secret": SECRET}}},
    "two-words": {"runtimes": {"r": {"runtimeArgs": ["--api-key", SECRET]}}},
    "in-between": {"runtimes": {"r": {"runtimeArgs": ["--auth", SECRET, "-x"]}}},
    "hook": {"log-opts": {"x-url": f"https://hooks.slack.com/services/T0/{SECRET}"}},
    "hook-in-a-label": {"labels": [f"to=https://d.example/api/webhooks/1/{SECRET}"]},
    "token": {"registry-mirrors": [f"https://m.example/{SECRET}a1b2c3d4e5f6a7/v2"]},
    "pass": {"log-opts": {"pass": SECRET}},
    "a-pass": {"log-opts": {"db_pass": SECRET}},
    "pat-and-sas": {"log-opts": {"gh-pat": SECRET, "blob-sas": SECRET}},
    "connection-string": {"log-opts": {"connection-string": f"x {SECRET}"}},
    "ado": {"log-opts": {"db": f"Server=a;User Id=b;Password={SECRET} c;Db=d"}},
    "azure": {"log-opts": {"db": f"Endpoint=sb://x/;SharedAccessKey={SECRET}="}},
    "libpq": {"log-opts": {"db": f"host=a user=b password={SECRET} dbname=d"}},
    "libpq-quoted": {"log-opts": {"db": f"host=a password='{SECRET} x'"}},
    "several-pairs": {"log-opts": {"db": f"host=a auth={SECRET} token=x"}},
    "open-quote": {"log-opts": {"db": f"host=a password='{SECRET}"}},
    "and-a-pair": {"registry-mirrors": [f"https://u:{SECRET}@m/?a=1&token=x"]},
    "rest-of-a-query": {"registry-mirrors": [f"https://m/?sv=1&sig=x&se={SECRET}"]},
    "at-in-a-query": {"registry-mirrors": [f"https://m/?a=b@c&se={SECRET}"]},
    "proxy-and-pair": {"proxies": {"http-proxy": f"http://u:{SECRET}@p?a=1&token=x"}},
    "gelf-and-pair": {"log-opts": {"gelf-address": f"udp://u:{SECRET}@g?a=1&key=x"}},
    "at-in-a-pair": {"log-opts": {"x-url": f"http://h/;password=a@{SECRET}"}},
    "header": {"runtimes": {"r": {"runtimeArgs": ["--header", f"Authorization: Bearer {SECRET}"]}}},
    "header-equals": {"runtimes": {"r": {"runtimeArgs": [f"--header=X-Api-Key: {SECRET}"]}}},
    "header-in-a-line": {
        "runtimes": {"r": {"runtimeArgs": [f"curl -H 'Authorization:Basic {SECRET}' x"]}}
    },
    "one-word": {"runtimes": {"r": {"runtimeArgs": [f"--password {SECRET}"]}}},
    "one-word-equals": {"runtimes": {"r": {"runtimeArgs": [f"--debug --api-key={SECRET}"]}}},
    "hook-url": {"log-opts": {"hook_url": f"d.example/{SECRET}"}},
    "hook-in-a-key": {"log-opts": {"slack-hook": f"https://d.example/{SECRET}"}},
}
EACH_PLANTED = pytest.mark.parametrize("value", PLANTED.values(), ids=PLANTED)


@EACH_PLANTED
def test_a_secret_is_not_shown_as_a_value_or_text(value: Data) -> None:
    text = json.dumps(value, indent=2)

    assert SECRET not in json.dumps(shown(value))
    assert SECRET not in shown_json(text)
    assert "***" in shown_json(text)
    assert len(shown_json(text).splitlines()) == len(text.splitlines())


@EACH_PLANTED
@table(
    "old, new",
    cut_off=("}", ""),
    single_quotes=('"', "'"),
    no_quotes=('"', ""),
    no_colons=(": ", " "),
)
def test_a_secret_is_not_shown_of_broken_json(value: Data, old: str, new: str) -> None:
    text = json.dumps(value, indent=2).replace(old, new)

    assert SECRET not in shown_json(text)
    assert SECRET not in "".join(map(shown_line, text.splitlines()))


@EACH_PLANTED
def test_a_secret_is_not_let_through_what_dockerd_says(value: Data) -> None:
    said = f'level=fatal msg="cannot use {json.dumps(value)}" and {value}\n'

    ran = subprocess.run(
        ["sed", sed_program(secrets_in(value))],
        input=said,
        capture_output=True,
        text=True,
        check=True,
    )

    assert SECRET not in ran.stdout
    assert "level=fatal" in ran.stdout


def test_a_secret_in_an_object_as_a_string_is_known_by_itself() -> None:
    assert SECRET in secrets_in({"labels": [f'x={{"a": [{{"password": "{SECRET}"}}]}}']})


def test_a_secret_of_any_characters_is_hidden_in_what_dockerd_says() -> None:
    secret = r"a.b*[c]$^/\&é" + '"' + "'x"
    said = f"failed to {secret} or {json.dumps(secret)} or a.b"

    ran = subprocess.run(
        ["sed", sed_program({secret})], input=said, capture_output=True, text=True, check=True
    )

    assert ran.stdout == 'failed to *** or "***" or a.b'


@table(
    "value",
    mirror={"registry-mirrors": ["https://mirror.example/v2"]},
    proxy={"proxies": {"http-proxy": "http://10.0.0.1:3128"}},
    no_proxy={"proxies": {"no-proxy": "localhost,.example.com"}},
    authorization={"authorization-plugins": ["opa"]},
    log_opts={"log-opts": {"max-size": "10m", "tag": "{{.Name}}"}},
    empty={"log-opts": {"splunk-url": "https://s:8088", "mode": ""}},
    path_of_a_key={"tlskey": "/etc/docker/key.pem", "tlsverify": True},
    resource={"node-generic-resources": ["GPU=UUID1"]},
    proxy_path={"userland-proxy": False, "userland-proxy-path": "/usr/bin/x"},
    others={"labels": ["mail=ops@example.com"], "mtu": 1400, "bip": None},
    an_option={"runtimes": {"r": {"runtimeArgs": ["--debug", "x"]}}},
    path={"registry-mirrors": ["https://mirror.example/docker-hub-proxy-cache-01/v2"]},
    pairs={"log-opts": {"tag": "a=1;b=2, bypass=x compat=y"}},
    colons={"log-opts": {"tag": "author: x, keys:y --token-file z"}},
    one_word={"runtimes": {"r": {"runtimeArgs": ["--a --b c", "--d"]}}},
)
def test_what_is_no_secret_is_shown_to_the_byte(value: Data) -> None:
    text = json.dumps(value, indent=3) + "\r\n"

    assert shown(value) == value
    assert shown_json(text) == text
    assert secrets_in(value) == set()


@pytest.mark.parametrize("query", ["a=b", "a=b&token=c", "sv=1&sig=a&se=b"])
def test_an_address_is_shown_without_what_leads_into_it(query: str) -> None:
    text = f'{{"proxies": {{"http-proxy": "http://ops:hunter2@proxy:3128/?{query}"}}}}'

    assert shown_json(text) == '{"proxies": {"http-proxy": "http://***@proxy:3128/?***"}}'


def test_the_parts_of_an_address_are_secrets_one_by_one() -> None:
    found = secrets_in({"registry-mirrors": ["https://u:hunter2@m/?a=1&token=abc"]})

    assert found == {"u:hunter2", "hunter2", "a=1&token=abc", "abc"}


@table(
    "line, expected",
    number=('"mtu": 1400', '"mtu": 1400'),
    one_line=('{"live-restore": true "dns": []}', '{"live-restore": true …: []}'),
    string=('"a": "b"', '"a": …'),
    secret_number=('"splunk-token": 12345', '"splunk-token": …'),
    yaml=("http-proxy: http://a:b@c", "…: …:…:…"),
)
def test_of_a_broken_line_only_its_shape_is_shown(line: str, expected: str) -> None:
    assert shown_line(line) == expected


def test_flags_of_dockerd_are_shown_without_secrets() -> None:
    words = ["-H", f"--http-proxy=http://u:{SECRET}@p", "--log-opt", f"splunk-token={SECRET}"]

    hidden = ["-H", "--http-proxy=http://***@p", "--log-opt", "splunk-token=***"]
    assert shown_words(words) == hidden


@table(
    "word, expected",
    address=(
        f"--registry-mirror=https://u:{SECRET}@m/?a=1&token=x",
        "--registry-mirror=https://***@m/?***",
    ),
    header=(f"--header=Authorization: Bearer {SECRET}", "--header=Authorization: ***"),
    password=(f"--password {SECRET}=x", "--password ***"),
)
def test_a_flag_in_one_word_is_shown_without_secrets(word: str, expected: str) -> None:
    assert shown_words([word, "-D"]) == [expected, "-D"]
