"""
A request to Docker's API, as dockerd shows it to an authorization plugin: moby, pkg/authorization.

dockerd asks before it does anything of what is requested.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

from pyinfra_gvisor.judge.api_keys import Keys, misread
from pyinfra_gvisor.judge.docker_files import Undecided, parse_object

_VERSION = re.compile(r"/v[0-9]+(\.[0-9]+)*(?=/)", re.ASCII)
_OLDEST = (1, 24)
_SHOWN = 3  # keys in a message


@dataclass(frozen=True)
class Request:
    """
    A request.

    + uri: as it was sent; ``headers``: by their canonical names
    + body: as it was sent; None if dockerd does not show it
    + docker: the process id of dockerd
    """

    method: str
    uri: str
    headers: Mapping[str, str]
    body: bytes | None
    docker: int

    @classmethod
    def of(cls, shown: Mapping[str, Any], docker: int) -> Request:
        """Return the request in a question of dockerd's. Raises ``ValueError`` if it has none."""
        headers, body = shown.get("RequestHeaders") or {}, shown.get("RequestBody")
        given = base64.b64decode(body) if body else None
        try:
            return cls(shown["RequestMethod"], shown["RequestUri"], dict(headers), given, docker)
        except KeyError as error:
            raise ValueError(f"dockerd's question has no {error}") from None

    @cached_property
    def path(self) -> str:
        """Return the decoded path without the version of the API, as dockerd matches it."""
        path = unquote_to_bytes(self.uri.partition("?")[0]).decode("utf-8", "surrogateescape")
        return _VERSION.sub("", path, count=1) if _VERSION.match(path) else path

    @property
    def whole(self) -> bytes:
        """Return all that is requested."""
        asked = f"{self.method} {self.uri}\n".encode("utf-8", "surrogateescape")
        return asked + (self.body or b"")

    @property
    def is_old(self) -> bool:
        """
        Return True for a version of the API in which a start has a configuration.

        dockerd before 25 takes it, in requests whose body no plugin sees: moby,
        postContainersStart.
        """
        found = re.match(r"/v([0-9]+)\.([0-9]+)", unquote_to_bytes(self.uri).decode("latin-1"))
        return found is not None and (int(found[1]), int(found[2])) < _OLDEST

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Return the values of each word in the query."""
        return parse_qs(self.uri.partition("?")[2], keep_blank_values=True)

    def asked(self, word: str) -> str:
        """Return the value of a word in the query; empty if there is none."""
        if self.is_form:  # its body goes before the query: net/http, Request.ParseForm
            raise Undecided("a form is refused as the body; send JSON, or use the URL's query")
        if ";" in self.uri:  # old versions of Go take it for &
            raise Undecided("a URL with ; is refused; write %3B")
        return self.query.get(word, [""])[0]

    @property
    def is_form(self) -> bool:
        """Return True if the body has words like those of a query."""
        kind = self.headers.get("Content-Type", "").lower()
        return "urlencoded" in kind or "multipart" in kind

    def read(self, keys: Keys) -> Mapping[str, Any]:
        """Return the body. Raises ``Undecided`` if dockerd could read it in another way."""
        if other := list(misread(self._content, keys)):
            what = f"the request cannot be checked: {', '.join(other[:_SHOWN])}"
            raise Undecided(f"{what}. Leave these options out")
        return self._content

    @cached_property
    def _content(self) -> Mapping[str, Any]:
        if self.body is None:
            todo = "Send the body as application/json with less than 1 MB. If you did, try again"
            raise Undecided(f"dockerd did not pass on the body of this request. {todo}")
        found = parse_object(self.body.decode("utf-8", "surrogateescape"), "the request")
        try:  # dockerd replaces what is no character: encoding/json
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Undecided("the request has invalid Unicode characters; remove them") from None
        return found
