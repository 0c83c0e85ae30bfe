"""
The resident judge as a part.

Its program comes with the wrappers, so its units come after daemon.json. Nothing depends on it:
wrappers run the same program themselves if it does not answer.
"""

from __future__ import annotations

from pyinfra_gvisor.parts.judge.plan import declared_program
from pyinfra_gvisor.parts.part import Part

PART = Part("judge", "before the proof", lambda settings: declared_program(settings) is not None)
