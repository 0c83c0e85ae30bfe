"""The packages of the wheel. Everything else for setuptools is in pyproject.toml."""

from setuptools import find_packages, setup

# setuptools does not find packages that package-dir renames.
ACTING = ("deploys", "facts", "operations", "run_support")

setup(
    packages=[
        *find_packages(include=["pyinfra_gvisor", "pyinfra_gvisor.*"]),
        *(f"pyinfra_gvisor.{name}" for name in ACTING),
    ]
)
