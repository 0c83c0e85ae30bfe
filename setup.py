"""The packages of the wheel. Everything else for setuptools is in pyproject.toml."""

from setuptools import find_packages, setup

# Links to these lie in the package, for editors and mypy. A zip of the source has no links.
LINKED = ("deploys", "facts", "operations", "run_support")

found = find_packages(include=["pyinfra_gvisor", "pyinfra_gvisor.*"])
setup(packages=sorted({*found, *(f"pyinfra_gvisor.{name}" for name in LINKED)}))
