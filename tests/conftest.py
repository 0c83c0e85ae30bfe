"""What holds for every test."""

import os

# pytest-xdist sets it in its workers. Output without a terminal must not depend on it.
os.environ.pop("COLUMNS", None)
