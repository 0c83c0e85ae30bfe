"""Where Coolify's API is, and whether its token may be sent there."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.redaction import shown

API_PATH = "/api/v1"


def api_url(url: str) -> str:
    """
    Return the URL of the API of the Coolify at ``url``, which may be that of its API, too.

    Raises ``Problem`` for what is no plain address, and for ``http://`` unless it leads to this
    machine: the token would go over the network in clear.
    """
    parts = _parts(url)
    if parts is None:
        todo = "write https://host or https://host:port, without user, ? and #"
        raise Problem("not the URL of a Coolify", got=_safe(url), todo=todo)
    if parts.scheme == "http" and not is_here(url):
        todo = (
            "write https://, or open ssh -L 8000:127.0.0.1:8000 to Coolify's host and write "
            "http://127.0.0.1:8000"
        )
        raise Problem("the API token would go over the network in clear", got=_safe(url), todo=todo)
    path = parts.path.rstrip("/").removesuffix(API_PATH).removesuffix("/api")
    return f"{parts.scheme}://{parts.netloc}{path}{API_PATH}"


def is_here(url: str) -> bool:
    """Return True if what is sent there does not leave this machine: RFC 6761, 6.3."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        plain = not (parts.query or parts.fragment or "@" in parts.netloc or parts.port == 0)
    except ValueError:  # a port that is no number
        return None
    plain = plain and url.isascii() and url.isprintable() and " " not in url
    return parts if plain and parts.hostname and parts.scheme in ("http", "https") else None


def _safe(url: str) -> str:
    return str(shown(url, ("url",)))
