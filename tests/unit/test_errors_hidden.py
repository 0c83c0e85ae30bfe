"""What is printed of what is secret: that it is there, and nothing else."""

from __future__ import annotations

import json

import pytest

from pyinfra_gvisor.errors import Problem, cut, hidden

SECRET = "s3cr3t"  # noqa: S105


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"https://deploy:{SECRET}@mirror.example/releases", id="address"),
        pytest.param(f"https://{SECRET}@mirror.example", id="token-in-an-address"),
        pytest.param(f"https://deploy:{SECRET}@{SECRET}@mirror.example", id="at-in-a-password"),
        pytest.param(f'"http-proxy": "http://ops:{SECRET}@10.0.0.1:3128",', id="proxy"),
        pytest.param(f'"https-proxy":"ops:{SECRET}@10.0.0.1:3128"', id="proxy-without-a-scheme"),
        pytest.param(f"{{'httpsProxy': 'ops:{SECRET}@10.0.0.1'}}", id="as-python-prints-it"),
        pytest.param(f'"splunk-token": "{SECRET}"', id="splunk"),
        pytest.param(f'"splunk-token": "a\\"{SECRET}"', id="quoted-quote"),
        pytest.param(f'"gelf_Password": "{SECRET} {SECRET}", "x": 1', id="password"),
        pytest.param(json.dumps({"a": {"client-secret": SECRET}}), id="nested"),
    ],
)
def test_a_secret_is_not_printed(text: str) -> None:
    assert SECRET not in hidden(text)
    assert "***" in hidden(text)
    assert SECRET not in cut(text)
    assert SECRET not in str(Problem("wrong", got=text))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('"registry-mirrors": ["https://mirror.example/v2/@scope"]', id="path"),
        pytest.param("registry.example:5000/shop:1@sha256:0123", id="image"),
        pytest.param('"http-proxy": "http://10.0.0.1:3128"', id="proxy"),
        pytest.param('"tokens": 5, "secret": null', id="no-text"),
        pytest.param("user@host: the token bucket is full", id="prose"),
    ],
)
def test_what_is_none_is_printed_as_it_is(text: str) -> None:
    assert hidden(text) == text
