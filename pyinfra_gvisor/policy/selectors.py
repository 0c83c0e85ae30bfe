"""Which containers must run in a sandbox: by label and name, with exemptions that have a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.models import Strict

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]
Labels = dict[str, str | tuple[str, ...]]


class Selector(Strict):
    """
    Containers by their labels and name; all that is given has to match.

    A label's value is one that it must have, or several of which it must have one. ``name`` is a
    pattern as of ``fnmatch``: ``*``, ``?`` and ``[…]``, upper and lower case told apart.
    """

    labels: Labels = Field(default_factory=dict, description="Values by label, all to be matched.")
    name: str | None = Field(None, min_length=1, description="A pattern such as `shop-*`.")

    @model_validator(mode="after")
    def _selects_something(self) -> Selector:
        if not self.labels and self.name is None:
            todo = 'write labels or a name; {"name": "*"} is every container'
            raise Problem("selects nothing in particular", todo=todo)
        return self

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a container of this name with these labels is one of them."""
        return (self.name is None or fnmatchcase(name, self.name)) and all(
            labels.get(label) in ((wanted,) if isinstance(wanted, str) else wanted)
            for label, wanted in self.labels.items()
        )


class Exemption(Selector):
    """Containers that need no sandbox, and why."""

    reason: Reason = Field(description="Why; it is repeated in every report.")


# What Coolify runs for its users. Its own containers (proxy, helper, sentinel) have other labels:
# bootstrap/helpers/docker.php of coollabsio/coolify, defaultLabels.
COOLIFY = Selector(
    labels={
        "coolify.managed": "true",
        "coolify.type": ("application", "service", "database"),
    }
)


def label_names(selectors: Iterable[Selector]) -> tuple[str, ...]:
    """The labels that decide; no other leaves a node, since labels may hold secrets."""
    return tuple(sorted({label for selector in selectors for label in selector.labels}))


def must_be_sandboxed(must: Iterable[Selector], name: str, labels: Mapping[str, str]) -> bool:
    """Whether a container has to run in a sandbox, exemptions apart."""
    return any(selector.matches(name, labels) for selector in must)


def exempted(exempt: Iterable[Exemption], name: str, labels: Mapping[str, str]) -> str | None:
    """Why a container need not, or None."""
    return next((item.reason for item in exempt if item.matches(name, labels)), None)
