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
    r"|sas$|(?<!com)pat$|basicauth|bearer|dsn$|connectionstring|license|webhook|hookur[li]$"
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
# Values are only looked at, not consumed: the next name may stand in the value before.
_FLAG = re.compile(r"""(?<!\S)--?([A-Za-z][\w.-]*)(?:=|\s+)(?=("[^"]*"|'[^']*'|\S+))""")
_HEADER = re.compile(r"""(?<![\w.-])([A-Za-z][\w-]*):([ \t]*)(?=([^\s'"][^'"\r\n]*))""")
_OPTION = re.compile(r"[\w./-]+")

Span = tuple[int, int]  # start and end of a part of a text

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
        return safe, [text, *secrets_in(json.loads(text), path)] if safe != text else []
    name, equals, value = text.partition("=")
    if equals and _OPTION.fullmatch(name):  # an option in a list: "splunk-token=…"
        safe, hidden = _redacted(value, (*path, *_names(name)))
        return f"{name}={safe}", hidden
    return _masked(text, [*_credentials(text, path), *_pairs(text), *_flags(text), *_headers(text)])


def _masked(text: str, secrets: Iterable[Span]) -> tuple[str, list[str]]:
    """Return a text without these parts, which may overlap, and what is hidden."""
    spans = sorted((start, end) for start, end in secrets if start < end)
    pieces, hidden, at = [], {text[start:end] for start, end in spans}, 0
    while spans:
        start, end = spans.pop(0)
        while spans and spans[0][0] < end:
            end = max(end, spans.pop(0)[1])
        hidden.add(text[start:end])
        pieces += [text[at:start], MASK]
        at = end
    return "".join([*pieces, text[at:]]), sorted(hidden)


def _pairs(text: str) -> Iterator[Span]:
    """Yield the secrets of a connection string."""
    for item in _PAIRS[";" if ";" in text else r",&\s"].finditer(text):
        # "a auth" is a name of two words, or the end of the value before and a name.
        if _names_secret(item[1]) or _names_secret(item[1].rpartition(" ")[2]):
            yield from _unquoted(item, 2)


def _flags(text: str) -> Iterator[Span]:
    """Yield the secrets after flags in a command line that is one text."""
    for item in _FLAG.finditer(text):
        if _names_secret(item[1]):
            yield from _unquoted(item, 2)


def _headers(text: str) -> Iterator[Span]:
    """Yield the secrets in HTTP headers: ``Authorization: Bearer …``."""
    for item in _HEADER.finditer(text):
        name = _folded(item[1])
        # An image has no space before its tag: secret-service:1.2.
        is_secret = item[2] and (_names_secret(name) or name.endswith("cookie"))
        if is_secret or name.endswith("authorization"):
            yield item.span(3)


def _unquoted(item: re.Match[str], group: int) -> Iterator[Span]:
    """Yield a group with its quotes, and without them."""
    yield item.span(group)
    bare = item[group].strip("\"'")
    start = item.start(group) + item[group].index(bare)
    yield start, start + len(bare)


def _optioned(items: Iterable[Any]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Yield each item of a list, and the option before it: ``--api-key VALUE`` are two words."""
    option: tuple[str, ...] = ()
    for item in items:
        yield item, option
        option = _option(item)


def _option(item: object) -> tuple[str, ...]:
    is_option = isinstance(item, str) and item.startswith("-") and _OPTION.fullmatch(item)
    return (str(item),) if is_option else ()


def _arguments(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    flag = ""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-") and equals and _OPTION.fullmatch(name):
            safe, hidden = _redacted(value, (name,))
            yield f"{name}={safe}", hidden
        else:
            yield _redacted(word, (flag,))
        (flag,) = _option(word) or ("",)


def _credentials(text: str, path: Sequence[str]) -> Iterator[Span]:
    """Yield user, password, tokens and query of an address."""
    key = path[-1] if path else ""
    scheme, slashes, _ = text.partition("://")
    start = len(scheme + slashes) if slashes else 0
    if not slashes:
        is_address = any(part in _folded(key) for part in _ADDRESSES)
        if "@" not in text or not (is_address or _USER_INFO.match(text)):
            return
    # Up to the last "@": a password that is not percent-encoded may contain one.
    at = text.rfind("@", start)
    if at >= 0:
        yield start, at
        yield text.find(":", start, at) + 1 or at, at
    host = max(start, at + 1)
    # A query may contain "@" too.
    paths = (text.find("/", place) for place in (start, host))
    questions = [text.find("?", place) for place in (host, *paths) if place >= 0]
    question = min((place for place in questions if place >= 0), default=len(text))
    yield question + 1, len(text)
    slash = text.find("/", host, question)
    if slash >= 0 and (_HOOK.search(key) or _HOOK.search(text, host, question)):
        yield slash + 1, question
    elif slash >= 0:
        yield from (found.span() for found in _LONG.finditer(text, slash + 1, question))


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
