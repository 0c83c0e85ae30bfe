"""
Measure wrappers of runtimes without their runsc. Sent to a node as text.

Arguments: a running container of a runtime with ``dns``, the number of rounds, and the wrappers'
paths. Each round makes a new bundle like that container's and calls each wrapper for ``create`` and
``start``, as containerd does. Prints JSON: milliseconds of both together, by path, for each round.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KEPT, COPY = "resolv.conf.docker", "resolv.conf"
ADDRESS = "169.254.53.53"
DOCKERS = "nameserver 127.0.0.11\noptions ndots:0\n"  # as on a user-defined network


def main(container: str, rounds: int, *paths: str) -> None:
    found = next(Path("/run").glob(f"**/moby/{container}/{KEPT}")).parent
    pid = (found / "init.pid").read_text()
    took_ms: dict[str, list[float]] = {path: [] for path in paths}
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        dockers = Path(directory, "containers", container, COPY)
        dockers.parent.mkdir(parents=True)
        dockers.write_text(DOCKERS)
        config = (found / "config.json").read_text().replace(f'"{found / COPY}"', f'"{dockers}"')
        programs = {path: without_runsc(path, Path(directory, Path(path).name)) for path in paths}
        for _ in range(rounds):
            for path, program in programs.items():
                bundle = Path(tempfile.mkdtemp(dir=directory))
                (bundle / "config.json").write_text(config)
                (bundle / "init.pid").write_text(pid)
                then_s = time.perf_counter()
                call(program, bundle, "create", f"--bundle={bundle}", container)
                call(program, bundle, "start", container)
                took_ms[path].append((time.perf_counter() - then_s) * 1e3)
                copy = bundle / COPY
                has_names = copy.exists() and ADDRESS in copy.read_text()
                if has_names != (ADDRESS in program.read_text()):
                    raise SystemExit(f"{path}: this wrapper did not write the expected {COPY}")
    json.dump(took_ms, sys.stdout)


def without_runsc(path: str, program: Path) -> Path:
    *lines, last = Path(path).read_text().splitlines(keepends=True)
    if not last.startswith("exec /opt/gvisor/"):
        raise SystemExit(f"{path}: the last line does not start runsc")
    program.write_text("".join([*lines, "exit 0\n"]))
    program.chmod(0o755)
    return program


def call(program: Path, bundle: Path, *arguments: str) -> None:
    command = [str(program), "--root=/run/none", *arguments]
    subprocess.run(command, cwd=bundle, check=True)


main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
