"""Hypothesis: the same examples in every run, so that a failure here is a failure there."""

import os

from hypothesis import settings

settings.register_profile("unit", derandomize=True, database=None, deadline=None, max_examples=60)
settings.register_profile("thorough", database=None, deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))
