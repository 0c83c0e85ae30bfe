"""Which containers must run in gVisor: by label and name, with exemptions that have a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Strict

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]
Labels = dict[str, str | tuple[str, ...]]


class Selector(Strict):
    """
    Containers by their labels and name; everything that is given must match.

    A label's value is the required value, or a list of allowed values. ``name`` is a pattern of
    ``fnmatch`` (``*``, ``?`` and ``[…]``); upper and lower case differ.
    """

    labels: Labels = Field(default_factory=dict, description="Values by label; all must match.")
    name: str | None = Field(None, min_length=1, description="A pattern such as `shop-*`.")

    @model_validator(mode="after")
    def _selects_something(self) -> Selector:
        if not self.labels and self.name is None:
            todo = 'write labels or a name; {"name": "*"} selects every container'
            raise Problem("neither labels nor a name is given", todo=todo)
        return self

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Return True if a container with this name and these labels is selected."""
        return (self.name is None or fnmatchcase(name, self.name)) and all(
            labels.get(label) in ((wanted,) if isinstance(wanted, str) else wanted)
            for label, wanted in self.labels.items()
        )


class Exemption(Selector):
    """Containers that may run outside of gVisor, and why."""

    reason: Reason = Field(description="Why; every report repeats it.")


# What Coolify runs for its users. Its own containers (proxy, helper, sentinel) have other labels:
# bootstrap/helpers/docker.php of coollabsio/coolify, defaultLabels.
COOLIFY = Selector(
    labels={
        "coolify.managed": "true",
        "coolify.type": ("application", "service", "database"),
    }
)


def label_names(selectors: Iterable[Selector]) -> tuple[str, ...]:
    """Return the labels that selectors use. No other label leaves a node: some hold secrets."""
    return tuple(sorted({label for selector in selectors for label in selector.labels}))


def must_be_sandboxed(must: Iterable[Selector], name: str, labels: Mapping[str, str]) -> bool:
    """Return True if a container must run in gVisor, ignoring exemptions."""
    return any(selector.matches(name, labels) for selector in must)


def exempted(exempt: Iterable[Exemption], name: str, labels: Mapping[str, str]) -> str | None:
    """Return the reason of a container's exemption, or None if it has none."""
    return next((item.reason for item in exempt if item.matches(name, labels)), None)
