"""What ``parts/kernel/state.sh`` prints for a node; the node's kernel is as weak as it can be."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from pyinfra_gvisor.parts.kernel.defaults import SYSCTLS
from pyinfra_gvisor.parts.kernel.files import kernel_files
from pyinfra_gvisor.parts.kernel.settings import Kernel
from pyinfra_gvisor.parts.kernel.state import KernelSurface, read

ALL = Kernel()
WEAK = {key: "1" if item.value == "0" else "0" for key, item in SYSCTLS.items()}


def told(
    *,
    texts: Mapping[str, str] | None = None,
    stat: str = "644:0:0",
    values: Mapping[str, str] | None = None,
    modules: Mapping[str, int] | None = None,
    builtin: Iterable[str] = (),
    before: Mapping[str, str] | None = None,
    written: Mapping[str, str] | None = None,
    kept: bool | None = None,
    later: Iterable[str] = (),
    loads: bool = True,
) -> list[str]:
    """The lines; ``values`` are beside the weak ones, ``modules`` use counts by name."""
    known = {**WEAK, **(values or {})}
    lines = [f"value {key.replace('.', '/')}:{value}" for key, value in known.items() if value]
    lines += [f"module {name} {used}" for name, used in (modules or {}).items()]
    lines += [] if loads else ["modules no"]
    lines += [f"builtin {name}" for name in builtin]
    for path, text in (texts or {}).items():
        lines += [f"text {path} {base64.b64encode(text.encode()).decode()}", f"stat {stat} {path}"]
    lines += ["kept yes"] if (bool(before) if kept is None else kept) else []
    lines += [f"before {key} {value}" for key, value in (before or {}).items()]
    lines += [f"written {key} {value}" for key, value in (written or {}).items()]
    lines += [f"later {line}" for line in later]
    return [f"kernel {line}" for line in lines]


def surface(lines: Iterable[str]) -> KernelSurface:
    """What is read of them."""
    return read([line.removeprefix("kernel ") for line in lines])


def in_force(wanted: Kernel = ALL, values: Any = None, texts: Any = None, **more: Any) -> list[str]:
    """The lines of a node that was weak, and on which this is in force but for what is given."""
    settings = wanted.settings
    files = {item.path: item.text for item in kernel_files(wanted.kept_out, settings)}
    return told(
        texts={**files, **(texts or {})},
        values={**settings, **(values or {})},
        before={key: WEAK.get(key, "0") for key in settings},
        written=settings,
        **more,
    )
