"""Stand-ins of our own for the part of Coolify's sources that the patch is for, old and new."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
HELPER = "bootstrap/helpers/docker.php"
VERSION = "4.3.11"
OLD_NAME = "convert_docker_run_to_compose"  # up to 4.0.0-beta.360
NAME = "convertDockerRunToCompose"


@dataclass(frozen=True)
class Source:
    """
    One text that stands for Coolify's ``bootstrap/helpers/docker.php``.

    + name: the file's name without its suffix
    + function: the function that takes a container's options
    + kind: what the patcher is to call it
    """

    name: str
    function: str
    kind: Literal["unpatched", "native"] = "unpatched"

    @property
    def path(self) -> Path:
        """The file in this directory."""
        return HERE / "sources" / f"{self.name}.php"


_ALL = (
    Source("beta202", OLD_NAME),
    Source("beta213", OLD_NAME),
    Source("beta225", OLD_NAME),
    Source("beta324", OLD_NAME),
    Source("beta361", NAME),
    Source("beta411", NAME),
    Source("beta449", NAME),
    Source("v4_3_11", NAME),
    Source("native", NAME, "native"),
    Source("native_list", NAME, "native"),
)
SOURCES: dict[str, Source] = {source.name: source for source in _ALL}
UNPATCHED = [source.name for source in _ALL if source.kind == "unpatched"]

_CONSTANTS = f"""<?php

return [
    'coolify' => [
        'version' => env('COOLIFY_VERSION') ?: '{VERSION}',
        'helper_version' => '1.0.15',
    ],
];
"""


def lay_out(root: Path, variant: str) -> Path:
    """
    As much of Coolify's tree as the patcher looks at.

    + root: what is ``/var/www/html`` in the container; made if it is not there
    + variant: a key of ``SOURCES``

    Returns the file with the function.
    """
    helper = root / HELPER
    texts = {"vendor/autoload.php": HERE / "vendor" / "autoload.php", HELPER: SOURCES[variant].path}
    for name, source in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, root / name)
    constants = root / "config" / "constants.php"
    constants.parent.mkdir(parents=True, exist_ok=True)
    constants.write_text(_CONSTANTS, encoding="utf-8")
    return helper
