"""How the keeper knows that the resolver answers."""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.parts.resolver.files import NAME, kept_files
from pyinfra_gvisor.runtimes.wrappers import ADDRESS, ADDRESS6

KEEP = Keep(
    ("parts/resolver/keep",),
    lambda node, settings: kept_files(named_resolvers(node), settings.textfile_dir),
    lambda _node, _settings: {
        "resolver_name": NAME,
        "resolver_address": ADDRESS,
        "resolver_address6": ADDRESS6,
    },
)
