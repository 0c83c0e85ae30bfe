"""The sentence on a node."""

from collections.abc import Generator

from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.parts.sample.plan import FILE, plan_sample
from pyinfra_gvisor.parts.sample.settings import SampleSettings
from pyinfra_gvisor.parts.sample.state import SampleState
from pyinfra_gvisor.run_support.converge import converge
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.settings import Settings

OPERATION = "sample.sentence"


def apply(settings: Settings) -> None:
    """Write the sentence that a host's settings declare. Called by a deploy."""
    sentence(settings.part(SampleSettings).sample, name="Write the sentence")


def remove(_settings: Settings | None) -> None:
    """Remove the sentence. Called by a deploy."""
    sentence(None, name="Remove the sentence")


@operation()
def sentence(wanted: str | None) -> Generator[PyinfraCommand, None, None]:
    """
    Write a sentence on the node, or remove it.

    + wanted: the sentence; None removes the file
    """
    yield from converge(
        OPERATION,
        FILE,
        lambda node: plan_sample(node.part(SampleState), wanted, init=node.init),
        lambda plan: run_script(OPERATION, "parts/sample/apply", files=plan.files),
        settled="the sentence is as declared",
    )
