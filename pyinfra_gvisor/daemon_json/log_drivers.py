"""
Refuse log-driver and log-opts that cannot work: ``dockerd --validate`` checks neither.

Tried on Docker 20.10.24, 26.1.5 and 28.5.2. With an option that the driver does not know, dockerd
does not start. With an unknown driver, or a value that the driver cannot read, dockerd starts, but
no container does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path, place
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.base.spelling import near
from pyinfra_gvisor.daemon_json.keys import Version
from pyinfra_gvisor.daemon_json.kinds import is_size
from pyinfra_gvisor.daemon_json.validation import advice, dockerd_version, flag_value
from pyinfra_gvisor.node import Node

DEFAULT = "json-file"
MISSPELT = 0.8  # difflib's ratio: "jsonfile" is a typo, "fluentbit" or "loki" are plugins

# For every driver: builtInLogOpts in moby's daemon/logger/factory.go, and the cache for drivers
# whose logs cannot be read back, daemon/logger/loggerutils/cache.
GENERIC = frozenset(
    {
        "mode",
        "max-buffer-size",
        "cache-disabled",
        "cache-max-size",
        "cache-max-file",
        "cache-compress",
    }
)
_TAG = frozenset({"tag"})
_ATTRIBUTES = frozenset({"labels", "labels-regex", "env", "env-regex"})
_ROTATION = frozenset({"max-size", "max-file", "compress"})


def _named(prefix: str, names: str) -> frozenset[str]:
    return frozenset(prefix + name for name in names.split())


# ValidateLogOpt in moby's daemon/logger/<driver>. awslogs-create-stream is documented but refused.
OPTIONS: dict[str, frozenset[str]] = {
    "awslogs": _TAG
    | _named(
        "awslogs-",
        "create-group credentials-endpoint datetime-format endpoint force-flush-interval-seconds"
        " format group max-buffered-events multiline-pattern region stream",
    ),
    "fluentd": _TAG
    | _ATTRIBUTES
    | _named(
        "fluentd-",
        "address async async-connect async-reconnect-interval buffer-limit max-retries request-ack"
        " retry-wait sub-second-precision write-timeout",
    ),
    "gcplogs": _ATTRIBUTES | _named("gcp-", "log-cmd meta-id meta-name meta-zone project"),
    "gelf": _TAG
    | _ATTRIBUTES
    | _named(
        "gelf-", "address compression-level compression-type tcp-max-reconnect tcp-reconnect-delay"
    ),
    "journald": _TAG | _ATTRIBUTES,
    "json-file": _TAG | _ATTRIBUTES | _ROTATION,
    "local": _ROTATION,
    "logentries": _TAG | _ATTRIBUTES | {"line-only", "logentries-token"},
    "splunk": _TAG
    | _ATTRIBUTES
    | _named(
        "splunk-",
        "caname capath format gzip gzip-level index index-acknowledgment insecureskipverify source"
        " sourcetype token url verify-connection",
    ),
    "syslog": _TAG
    | _ATTRIBUTES
    | _named("syslog-", "address facility format tls-ca-cert tls-cert tls-key tls-skip-verify"),
}
SINCE: dict[str, Version] = {
    "awslogs-format": (23, 0),
    "fluentd-async-reconnect-interval": (23, 0),
    "fluentd-write-timeout": (28, 2),
}
UNTIL: dict[str, Version] = {"fluentd-async-connect": (28, 0)}
# dockerd does not start without these if there are any log-opts.
REQUIRED = {"awslogs": "awslogs-group", "gelf": "gelf-address"}

# Go's strconv.ParseBool: https://pkg.go.dev/strconv#ParseBool
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def log_driver(node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """
    Refuse a log driver that this dockerd does not have.

    dockerd's list has no plugins (``ListDrivers`` in moby's daemon/logger/factory.go). So a name
    that is not in the list may be a plugin, unless it is, or nearly is, the name of a known driver.
    """
    name = value.get("log-driver")
    there = (node.info.log_drivers if node.info else ()) or tuple(OPTIONS)
    if not isinstance(name, str) or name in ("", "none", *there) or "/" in name or ":" in name:
        return
    if name in OPTIONS or near(name, there, cutoff=MISSPELT):
        raise Problem(
            "/log-driver is unknown to this dockerd, no container would start",
            got=shown(name),
            todo=advice(name, ("none", *there)),
        )


def log_opts(node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse log options that the driver does not know or cannot read."""
    if "log-driver" not in value and flag_value(node, "log-driver") is not None:
        return
    driver, given = value.get("log-driver") or DEFAULT, value.get("log-opts")
    if driver == "none" or not isinstance(given, dict) or not given:
        return
    options = {name: str(text or "") for name, text in given.items()}
    _modes(options)
    if not isinstance(driver, str) or driver not in OPTIONS:
        return
    known = {name for name in OPTIONS[driver] if _in_version(name, dockerd_version(node))} | GENERIC
    for name in options:
        if name not in known:
            where = place(("log-opts", name))
            raise Problem(f"{where} is not an option of {driver}", todo=advice(name, known))
    if driver in REQUIRED and not options.get(REQUIRED[driver]):
        what = f"/log-opts/{REQUIRED[driver]} is missing, and {driver} needs it"
        raise Problem(what, todo="set this option")
    for name, expected in VALUES[driver](options) if driver in VALUES else ():
        raise _wrong(name, expected, options[name])


def _in_version(option: str, version: Version | None) -> bool:
    if version is None:
        return True
    since, until = SINCE.get(option), UNTIL.get(option)
    return (since is None or version >= since) and (until is None or version < until)


def _modes(options: Mapping[str, str]) -> None:
    """Refuse what every driver refuses: ValidateLogOpts in moby's daemon/logger/factory.go."""
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise _wrong("mode", "blocking or non-blocking", mode)
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            todo = 'also set "mode": "non-blocking"'
            what = "/log-opts/max-buffer-size needs mode non-blocking"
            raise Problem(what, got=shown(mode), todo=todo)
        if not is_size(options["max-buffer-size"]):
            raise _wrong("max-buffer-size", 'a size, such as "4m"', options["max-buffer-size"])
    disabled = options.get("cache-disabled", "")
    if disabled and disabled not in TRUE | FALSE:
        raise _wrong("cache-disabled", '"true" or "false"', disabled)


def _json_file(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what ``New`` in moby's daemon/logger/jsonfilelog/jsonfilelog.go refuses."""
    yield from _rotation(options)
    if "max-size" in options and not re.search("[1-9]", options["max-size"]):
        yield "max-size", "more than 0"
    if "max-file" in options and int(options["max-file"]) < 1:
        yield "max-file", "1 or more"
    one = int(options.get("max-file", "1")) == 1
    if options.get("compress") in TRUE and (one or "max-size" not in options):
        yield "compress", "false unless max-size is set and max-file is 2 or more"


def _local(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """
    Yield what ``validateConfig`` in moby's daemon/logger/local/config.go refuses.

    This driver compresses unless ``compress`` is false.
    """
    yield from _rotation(options)
    count = int(options.get("max-file", "5"))
    if count < 0 or (count < 2 and options.get("compress") not in FALSE):  # noqa: PLR2004 - files
        yield "max-file", '2 or more, or 0 or more with "compress": "false"'


def _rotation(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if "max-size" in options and not is_size(options["max-size"]):
        yield "max-size", 'a size, such as "10m"'
    if "max-file" in options and not re.fullmatch(r"[+-]?\d{1,18}", options["max-file"], re.ASCII):
        yield "max-file", 'a whole number, such as "3"'
    if "compress" in options and options["compress"] not in TRUE | FALSE:
        yield "compress", '"true" or "false"'


def _syslog(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what ``parseAddress`` in moby's daemon/logger/syslog/syslog.go refuses."""
    address = options.get("syslog-address", "")
    if address and "://" not in address:
        yield "syslog-address", 'an address such as "udp://192.0.2.1:514"'


def _wrong(name: str, expected: str, got: str) -> Problem:
    safe = shown(got, ("log-opts", name))
    todo = "correct this value"
    return Problem(f"/log-opts/{name} must be {expected}", got=f'"{safe}"', todo=todo)


# Each yields (option, what its value must be) for every wrong option; the first one is reported.
VALUES = {"json-file": _json_file, "local": _local, "syslog": _syslog}
