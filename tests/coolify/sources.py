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

    + function: the function that takes a container's options
    + kind: what the patcher is to call it
    + edits: what makes it of the newest one, each text with what comes in its place
    """

    name: str
    function: str
    kind: Literal["unpatched", "native"] = "unpatched"
    edits: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The whole file."""
        name = "v4_3_11" if self.edits else self.name
        text = (HERE / "sources" / f"{name}.php").read_text(encoding="utf-8")
        for old, new in self.edits:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text


# What nobody has released: a Coolify that knows the runtime, but passes it on as a list ...
_AS_A_LIST = (("'--dns' => 'dns',\n", "'--dns' => 'dns',\n        '--runtime' => 'runtime',\n"),)
# ... and one that passes it on.
_AS_IT_IS = (
    *_AS_A_LIST,
    (
        "        if (($match[2] ?? '') === '') {\n",
        """        if ($option === '--runtime') {
            preg_match('~--runtime(?:=|\\s+)["\\']?([\\w.-]+)~',
                $custom_docker_run_options, $runtime);
            $options[$option] = [$runtime[1] ?? ''];
            continue;
        }
        if (($match[2] ?? '') === '') {
""",
    ),
    ("|| $option === '--entrypoint')", "|| $option === '--entrypoint' || $option === '--runtime')"),
)

# Each differs in what the patch looks at: the name, the parameter, or whether the option is known.
_ALL = (
    Source("beta202", OLD_NAME),
    Source("beta225", OLD_NAME),
    Source("v4_3_11", NAME),
    Source("native", NAME, "native", _AS_IT_IS),
    Source("native_list", NAME, "native", _AS_A_LIST),
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
    helper.parent.mkdir(parents=True, exist_ok=True)
    helper.write_text(SOURCES[variant].text, encoding="utf-8")
    (root / "vendor").mkdir(exist_ok=True)
    shutil.copyfile(HERE / "vendor" / "autoload.php", root / "vendor" / "autoload.php")
    constants = root / "config" / "constants.php"
    constants.parent.mkdir(parents=True, exist_ok=True)
    constants.write_text(_CONSTANTS, encoding="utf-8")
    return helper
