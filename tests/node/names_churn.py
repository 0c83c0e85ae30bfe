"""
Makes containers on one small network and removes them again, several at a time, so that addresses
are soon another container's. Each has a name ``mine`` of its own, which is one of two containers,
and asks for it. Sent to nodes as text; says what came that was not to come.

+ ``200 172.31.4.2 172.31.4.3``: so many, and the addresses of ``churn-0`` and ``churn-1``
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 4
EVERY = 8  # one of so many has a network stack of its own; the others ask as it would
ASKER = Path("/root/names_asker.py").read_text(encoding="utf-8")
RESOLVER = "169.254.53.53"


def one(number: int) -> str:
    runtime = "runc" if number % EVERY else "gvisor"
    options = ["--network=churn", f"--link=churn-{number % 2}:mine", f"--runtime={runtime}"]
    command = ["docker", "run", "--rm", *options, "-v", "/usr:/usr:ro", "names:1"]
    ran = subprocess.run(
        [*command, "python3", "-c", ASKER, "once", "mine", RESOLVER],
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip() or ran.stderr[-300:]


def main(count: str, *addresses: str) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, said in enumerate(pool.map(one, range(int(count)))):
            if said != addresses[number % 2]:
                sys.stdout.write(f"{number}: {said}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
