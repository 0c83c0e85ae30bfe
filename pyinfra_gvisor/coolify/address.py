"""Find the URL of Coolify's API, and refuse to send the token over the network in clear text."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.redaction import shown

API_PATH = "/api/v1"


def api_url(url: str) -> str:
    """
    Return the URL of Coolify's API. ``url`` is that of Coolify or of its API.

    Raises ``Problem`` if it is not a plain URL, or if it is ``http://`` and leads to another
    machine: the token would be sent in clear text.
    """
    parts = _parts(url)
    if parts is None:
        todo = "write https://host or https://host:port, without user, ? and #"
        raise Problem("not the URL of a Coolify instance", got=_safe(url), todo=todo)
    if parts.scheme == "http" and not is_here(url):
        todo = (
            "write https://, or open ssh -L 8000:127.0.0.1:8000 to Coolify's host and write "
            "http://127.0.0.1:8000"
        )
        what = "the API token would be sent over the network in clear text"
        raise Problem(what, got=_safe(url), todo=todo)
    path = parts.path.rstrip("/").removesuffix(API_PATH).removesuffix("/api")
    return f"{parts.scheme}://{parts.netloc}{path}{API_PATH}"


def is_here(url: str) -> bool:
    """Return True if requests to this URL do not leave this machine: RFC 6761, 6.3."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        plain = not (parts.query or parts.fragment or "@" in parts.netloc or parts.port == 0)
    except ValueError:  # The port is not a number.
        return None
    plain = plain and url.isascii() and url.isprintable() and " " not in url
    return parts if plain and parts.hostname and parts.scheme in ("http", "https") else None


def _safe(url: str) -> str:
    return str(shown(url, ("url",)))
