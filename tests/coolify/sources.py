"""Stand-ins of our own for the part of Coolify's sources that the patch is for, old and new."""

import shutil
from pathlib import Path

HERE = Path(__file__).parent
HELPER = "bootstrap/helpers/docker.php"
VERSION = "4.3.11"
OLD_NAME = "convert_docker_run_to_compose"  # up to 4.0.0-beta.360
NAME = "convertDockerRunToCompose"

_OLD_OPTIONS = """'--privileged' => 'privileged', '--ip' => 'ip', '--shm-size' => 'shm_size', \
'--gpus' => 'gpus',
        '--hostname' => 'hostname', '--entrypoint' => 'entrypoint', '--ip6' => 'ip6', \
'--dns' => 'dns',
"""
_VALUE = """        if (($match[2] ?? '') === '') {
            $options[$option] = true;
        } else {
            $options[$option][] = $match[2];
            $options[$option] = array_unique($options[$option]);
        }
"""
_CUT_AT_COMMAS = """        $value = ($match[2] ?? '') !== '' ? $match[2] : true;
        if ($list_options->contains($option)) {
            $value = explode(',', $value);
        }
        if (! array_key_exists($option, $options)) {
            $options[$option] = $value;
        } elseif (is_array($options[$option])) {
            $options[$option][] = $value;
        } else {
            $options[$option] = [$options[$option], $value];
        }
"""
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
# By what makes it of the newest one: texts with what comes in their place.
SOURCES: dict[str, tuple[tuple[str, str], ...]] = {
    "beta202": (
        (NAME, OLD_NAME),
        (_OLD_OPTIONS, "'--privileged' => 'privileged',\n"),
        (_VALUE, _CUT_AT_COMMAS),
    ),
    "beta225": (
        (f"{NAME}(?string ", f"{OLD_NAME}("),
        (_OLD_OPTIONS, "'--privileged' => 'privileged', '--ip' => 'ip',\n"),
    ),
    "v4_3_11": (),
    "native": _AS_IT_IS,
    "native_list": _AS_A_LIST,
}
UNPATCHED = ["beta202", "beta225", "v4_3_11"]


def lay_out(root: Path, variant: str) -> Path:
    """
    As much of Coolify's tree as the patcher looks at.

    + root: what is ``/var/www/html`` in the container; made if it is not there
    + variant: a key of ``SOURCES``

    Returns the file with the function.
    """
    text = (HERE / "docker.php").read_text(encoding="utf-8")
    for old, new in SOURCES[variant]:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    helper = root / HELPER
    helper.parent.mkdir(parents=True, exist_ok=True)
    helper.write_text(text, encoding="utf-8")
    (root / "vendor").mkdir(exist_ok=True)
    shutil.copyfile(HERE / "vendor" / "autoload.php", root / "vendor" / "autoload.php")
    constants = root / "config" / "constants.php"
    constants.parent.mkdir(parents=True, exist_ok=True)
    version = f"'version' => env('COOLIFY_VERSION') ?: '{VERSION}',"
    constants.write_text(f"<?php return ['coolify' => [\n{version}\n]];\n", encoding="utf-8")
    return helper
