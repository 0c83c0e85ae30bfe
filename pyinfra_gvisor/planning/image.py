"""Whether the image of the proof is on the node, if a proof will be made."""

from __future__ import annotations

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.proof.verdict import fingerprint, is_due
from pyinfra_gvisor.settings import Settings


def image_problem(node: Node, settings: Settings, *, changes: bool) -> Problem | None:
    """
    Return why isolation cannot be proven with ``gvisor_proof_image``; None if it can.

    + changes: the run changes daemon.json, which makes a new proof due

    Without a proof to make, the image is not needed: somebody may have removed it since.
    """
    image = settings.proof_image
    if image is None or node.proof_image is not False or settings.proof == "never":
        return None
    if node.pending:  # Docker may be down. The run first finishes or undoes that change
        return None
    now = fingerprint(
        node, settings.release, settings.proven_runtimes, image=image, declared=settings
    )
    if not is_due(node, settings.runtimes, "always" if changes else settings.proof, now):
        return None
    return Problem(
        "the image is not on the node", got=image, todo=f"docker pull {image}, or leave it out"
    )
