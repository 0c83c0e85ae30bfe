"""The packages of the wheel; everything else that setuptools has to know is in pyproject.toml."""

from setuptools import find_packages, setup

# What package-dir renames, setuptools does not find by itself.
ACTING = ("deploys", "facts", "operations")

setup(
    packages=[
        *find_packages(include=["pyinfra_gvisor", "pyinfra_gvisor.*"]),
        *(f"pyinfra_gvisor.{name}" for name in ACTING),
    ]
)
