"""Flavours of the lab with the packages that tests need on a node, on top of their own images."""

from dataclasses import replace

from tests.node.containers import must
from tools.lab import FLAVOURS, Flavour, LabNode

PACKAGES = (
    *("caddy", "curl", "docker-compose", "nginx", "python3", "redis-tools"),
    *("busybox-static", "jq", "php-cli", "php-illuminate-collections", "php-illuminate-support"),
)


def equipped(name: str) -> Flavour:
    """Return the lab's flavour of that name with ``PACKAGES``; one image for each distribution."""
    flavour = FLAVOURS[name]
    base = flavour.image or name
    # Debian's client of Docker 28 takes three times as long for every command.
    client = (f"docker-cli/{flavour.suite}",) if flavour.docker_suite else ()
    return replace(
        flavour,
        name=f"{base}-equipped",
        image=None,
        base=base,
        packages=tuple(sorted({*flavour.packages, *PACKAGES, *client})),
    )


def free_port_80(node: LabNode) -> None:
    """Stop what Debian starts."""
    must(node, "systemctl", "disable", "--quiet", "--now", "caddy", "nginx")
