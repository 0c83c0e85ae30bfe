"""
Time calls of Docker about one container; print milliseconds by call, as JSON. Sent to a node.

Arguments: options of ``docker run``. Each list has a number for each time that the call was made.
"""

import json
import subprocess
import sys
import time

NAME = "timed"
CALLS = (*[("exec", "true")] * 3, ("pause",), ("unpause",), ("kill",), ("rm",))
took_ms: dict[str, list[float]] = {}


def call(*words: str) -> None:
    then_s = time.perf_counter()
    subprocess.run(["docker", *words], check=True, stdout=subprocess.DEVNULL)
    took_ms.setdefault(f"docker {words[0]}", []).append((time.perf_counter() - then_s) * 1e3)


call("run", "-d", "--name", NAME, *sys.argv[1:], "test:1", "sleep", "infinity")
for what, *more in CALLS:
    call(what, NAME, *more)
json.dump(took_ms, sys.stdout)
