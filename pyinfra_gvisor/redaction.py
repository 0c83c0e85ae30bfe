"""
Redact daemon.json for people: every value is shown, with ``***`` in place of passwords and tokens.

Values are redacted by their key, before they become text. What is written to a node is never
redacted. In a text that is not JSON, keys are not reliable, so no value is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

MASK = "***"
ELLIPSIS = "…"
SHORTEST = 4  # characters; a shorter secret would hide half of every line that a node prints

# Keys that hold a secret although their name does not say so; case and punctuation do not matter.
SECRET_KEYS = frozenset(
    {
        # https://docs.docker.com/reference/cli/docker/#docker-cli-configuration-file-configjson-properties
        "auth",  # user and password in base64, below "auths"
        "auths",
        "httpheaders",
        # awslogs-credentials-endpoint is matched by its name. It is the path of a URL that answers
        # with credentials: https://docs.docker.com/engine/logging/drivers/awslogs/.
        # Whoever has a collector's URL can send to the collector:
        # https://github.com/SumoLogic/sumologic-docker-logging-driver
        "sumourl",
    }
)
# splunk-token, logentries-token: https://docs.docker.com/engine/logging/drivers/splunk/ and moby's
# daemon/logger/logentries. identitytoken, registrytoken, password: api/types/registry/authconfig.go
# of moby. Plugins have other options: dd-api-key, loki-basic-auth, es-password, …
_SECRET_KEY = re.compile(
    r"token|secret|passw|passphrase|(?<!by)(?<!com)pass$|pwd$|credential|(?<!tls)key$|signature|sig$"
    r"|sas$|(?<!com)pat$|basicauth|bearer|dsn$|connectionstring|license|webhook"
)  # tlskey and syslog-tls-key are paths. Azure's SAS, GitHub's and GitLab's PAT are tokens
_PLACE_OF_A_SECRET = ("file", "path", "dir")  # gvisor_coolify_token_file is a path, not a secret
SECRET_NAME = (
    rf"^(?!.*(?:{'|'.join(_PLACE_OF_A_SECRET)})$)"
    rf"(?:(?:{'|'.join(sorted(SECRET_KEYS))})$|.*(?:{_SECRET_KEY.pattern}))"
)
"""The same as a regular expression, for perl too: lower case, letters and digits only."""

# Objects whose members are redacted by key. A value here that is not an object has no keys, so it
# is redacted whole: "log-opts": "splunk-token=…".
HOLDERS = frozenset(
    {
        "clusterstoreopts",  # moby v20.10 daemon/config/config.go
        "gvisordaemonjson",
        "gvisordaemonjsonifabsent",
        "logopts",
        "proxies",  # https://docs.docker.com/engine/daemon/proxy/
    }
)
# dockerd also accepts these without a scheme: user:password@proxy:3128.
_ADDRESSES = ("proxy", "registrymirror", "insecureregistr")
_USER_INFO = re.compile(r"[^/\s@]*:[^/\s]*@")
# The path of a webhook is a secret, and so is a token in the path of a mirror:
# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
_HOOK = re.compile("hook", re.IGNORECASE)
_LONG = re.compile(r"(?<![^/])(?=[^/]*[A-Za-z0-9]{20})(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[^/]+")
# "Server=db;Password=p" (ADO.NET, ODBC, Azure), "host=db password=p" (libpq).
_PAIR = r"""(?:^|(?<=[{ends}]))\s*([A-Za-z][\w. -]*?)\s*=\s*("[^"]*"|'[^']*'|[^{ends}]+)"""
_PAIRS = {ends: re.compile(_PAIR.format(ends=ends)) for ends in (";", r",&\s")}


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_FIRST_KEY = re.compile(r'[\s{\[,]*"([\w.-]{1,64})"(?=\s*:)')
_HARMLESS = re.compile(
    r"(?<![^\s{\[,:])(?:-?\d{1,5}|true|false|null)(?![^\s}\],:])|[\s{}\[\],:]+", re.ASCII
)


def shown(value: Any, path: Sequence[str] = (), *, texts: Collection[str] = ()) -> Any:
    """
    Return ``value`` with ``***`` in place of secrets.

    + path: the keys above ``value``
    + texts: keys whose values are JSON as text
    """
    if isinstance(value, Mapping):
        return {
            _redacted(str(key), ())[0]: shown(inner, (*path, *_names(str(key))), texts=texts)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [shown(inner, (*path, *option), texts=texts) for inner, option in _optioned(value)]
    if isinstance(value, str) and path and path[-1] in texts and not _is_secret(path):
        return shown_json(value, path[:-1])
    if isinstance(value, str):
        return _redacted(value, path)[0]
    hide = _is_secret(path) and isinstance(value, int | float) and not isinstance(value, bool)
    return MASK if hide else value


def shown_json(text: str, path: Sequence[str] = ()) -> str:
    """
    Return a JSON text with the same lines, and ``***`` in place of secrets.

    + path: the keys above the text

    Of a text that is not JSON, only keys, numbers and punctuation remain.
    """
    if not _is_json(text):
        return "\n".join(map(shown_line, text.split("\n")))
    pieces, at = [], 0
    for start, end, keys in _values(text):
        written = text[start:end]
        value = json.loads(written)
        # A key is shown, without user and password: "auths" has addresses of registries as keys.
        safe = _redacted(value, ())[0] if keys is None else shown(value, (*path, *keys))
        pieces += [text[at:start], written if safe == value else _written(safe)]
        at = end
    return "".join([*pieces, text[at:]])


def shown_line(line: str) -> str:
    """Return the parts of a broken JSON line that are safe: first key, numbers, punctuation."""
    first = _FIRST_KEY.match(line)
    at = first.end() if first else 0
    if first and _is_secret((first[1],)):
        return f"{first[0]}: {ELLIPSIS}"
    pieces = [line[:at]]
    for found in _HARMLESS.finditer(line, at):
        pieces += [ELLIPSIS] if found.start() > at else []
        pieces.append(found[0])
        at = found.end()
    return "".join([*pieces, ELLIPSIS if at < len(line) else ""])


def shown_words(words: Sequence[str]) -> list[str]:
    """Return a program's arguments with ``***`` in place of secrets."""
    return [safe for safe, _ in _arguments(words)]


def secrets_in_words(words: Sequence[str]) -> set[str]:
    """Return the secrets that ``shown_words`` hides."""
    return {text for _, hidden in _arguments(words) for text in hidden}


def secrets_in(value: Any, path: Sequence[str] = ()) -> set[str]:
    """Return the secrets that ``shown`` hides, and the passwords inside them."""
    if isinstance(value, Mapping):
        inner = [secrets_in(item, (*path, *_names(str(key)))) for key, item in value.items()]
        return set().union(*inner, *(_redacted(str(key), ())[1] for key in value))
    if isinstance(value, list | tuple):
        inner = [secrets_in(item, (*path, *option)) for item, option in _optioned(value)]
        return set().union(*inner)
    if isinstance(value, str):
        return set(_redacted(value, path)[1])
    return {str(value)} if shown(value, path) != value else set()


def sed_program(secrets: Collection[str]) -> str:
    """Return a ``sed`` program that hides these secrets in a node's output; empty without any."""
    spelt = {
        text for secret in secrets for text in (secret, unquote(secret), _written(secret)[1:-1])
    }
    lines = [text for text in spelt if len(text) >= SHORTEST and text.isprintable()]
    literals = (re.sub(r"([\\.*\[^$/])", r"\\\1", text) for text in lines)
    longest_first = sorted(literals, key=lambda text: (-len(text), text))
    return "\n".join(f"s/{literal}/{MASK}/g" for literal in longest_first)


def _redacted(text: str, path: Sequence[str]) -> tuple[str, list[str]]:
    """Return the redacted text, and the secrets that it hides."""
    if not text:
        return text, []
    if _is_secret(path) or (path and _folded(path[-1]) in HOLDERS):
        return MASK, [text]
    if text[0] in "{[" and _is_json(text):  # an object written as a string
        safe = shown_json(text, path)
        return safe, [text] if safe != text else []
    name, equals, value = text.partition("=")
    if equals and re.fullmatch(r"[\w./-]+", name):  # an option in a list: "splunk-token=…"
        safe, hidden = _redacted(value, (*path, *_names(name)))
        return (f"{name}={safe}", hidden) if hidden else _without_pairs(text)
    safe, hidden = _without_pairs(text)
    return (safe, hidden) if hidden else _without_credentials(text, path)


def _without_pairs(text: str) -> tuple[str, list[str]]:
    """Return a connection string without its secrets, and these."""
    pair = _PAIRS[";" if ";" in text else r",&\s"]
    found = [item for item in pair.finditer(text) if _names_secret(item[1])]
    pieces, at = [], 0
    for item in found:
        pieces += [text[at : item.start(2)], MASK]
        at = item.end(2)
    hidden = {part for item in found for part in (item[2], item[2].strip("\"'"))}
    return "".join([*pieces, text[at:]]), sorted(hidden)


def _optioned(items: Iterable[Any]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Yield each item of a list, and the option before it: ``--api-key VALUE`` are two words."""
    option: tuple[str, ...] = ()
    for item in items:
        yield item, option
        option = _option(item)


def _option(item: object) -> tuple[str, ...]:
    return (item,) if isinstance(item, str) and item.startswith("-") and "=" not in item else ()


def _arguments(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    flag = ""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-") and equals:
            safe, hidden = _redacted(value, (name,))
            yield f"{name}={safe}", hidden
        else:
            yield _redacted(word, (flag,))
        flag = word if word.startswith("-") and not equals else ""


def _without_credentials(text: str, path: Sequence[str]) -> tuple[str, list[str]]:
    """Return an address without user, password, tokens and query, and what is hidden."""
    scheme, slashes, rest = text.partition("://")
    is_address = bool(path) and any(part in _folded(path[-1]) for part in _ADDRESSES)
    if not slashes:
        scheme, rest = "", text
        if "@" not in text or not (is_address or _USER_INFO.match(text)):
            return text, []
    hidden = []
    # Up to the last "@": a password that is not percent-encoded may contain one.
    user, at, host = rest.rpartition("@")
    if at:
        hidden += [user, *filter(None, user.partition(":")[2:])]
        user = MASK
    host, question, query = host.partition("?")
    if question:
        hidden += [query] if query else []
        query = MASK
    host, tokens = _without_tokens(host)
    return f"{scheme}{slashes}{user}{at}{host}{question}{query}", [*hidden, *tokens]


def _without_tokens(address: str) -> tuple[str, list[str]]:
    """Return a host with its path without parts that are tokens, and these."""
    host, slash, path = address.partition("/")
    if path and _HOOK.search(address):
        return f"{host}{slash}{MASK}", [path]
    return f"{host}{slash}{_LONG.sub(MASK, path)}", _LONG.findall(path)


def _values(text: str) -> Iterator[tuple[int, int, tuple[str, ...] | None]]:
    """Yield start, end and the keys above each scalar of valid JSON; no keys (None) for a key."""
    opened: list[str | None] = []  # the current key of each open object, None for a list
    option: tuple[str, ...] = ()  # the word before, if it is an option in a list
    key_next = False
    for token in _TOKEN.finditer(text):
        sign = token[0][0]
        if sign in "{[":
            opened.append("" if sign == "{" else None)
        elif sign in "}]":
            opened.pop()
        elif sign not in ",:":
            if key_next:
                opened[-1] = json.loads(token[0])
            keys = (name for key in opened if key is not None for name in _names(key))
            yield token.start(), token.end(), None if key_next else (*keys, *option)
        if sign not in ",:":
            in_list = sign == '"' and opened[-1:] == [None]
            option = _option(json.loads(token[0])) if in_list else ()
        key_next = sign == "{" or (sign == "," and opened[-1] is not None)


def _is_secret(path: Sequence[str]) -> bool:
    return any(map(_names_secret, path))


def _names_secret(name: str) -> bool:
    return re.search(SECRET_NAME, _folded(name)) is not None


def _names(key: str) -> tuple[str, ...]:
    """Return the parts of a key that is a JSON pointer, as in our records; else the key itself."""
    return tuple(key.split("/")[1:]) if key.startswith("/") else (key,)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _written(value: object) -> str:
    return json.dumps(value)
