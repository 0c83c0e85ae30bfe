"""
Clients of published ports. Sent to a node as text. Prints as JSON, by target, how many requests
were answered and how many failed.

+ ``once TARGET...``: one request each
+ ``until STOP TOLD TARGET...``: one after another until the file STOP is there; what came of it is
  in the file TOLD

A target is ``tcp/ADDRESS/PORT``, answered when somebody says hello, or ``udp/ADDRESS/PORT``,
answered when one of three datagrams comes back within a second.
"""

import json
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

TIMEOUT_S = 3
PAUSE_S = 0.1
TIMES = 2000

Told = dict[str, dict[str, int]]


def is_answered(target: str) -> bool:
    kind, host, port = target.split("/")
    try:
        if kind == "tcp":
            with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
                return bool(connection.recv(4))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1)
            asking.connect((host, int(port)))
            for _ in range(TIMEOUT_S):  # as any client of UDP asks again
                asking.send(b"hello")
                with suppress(TimeoutError):
                    return asking.recv(512) == b"hello"
            return False
    except OSError:
        return False


def ask(target: str, told: Told, stop: Path | None) -> None:
    for _ in range(TIMES):
        told[target]["answered" if is_answered(target) else "failed"] += 1
        if stop is None or stop.exists():
            return
        time.sleep(PAUSE_S)


def main(how: str, *words: str) -> None:
    stop, result = (Path(words[0]), Path(words[1])) if how == "until" else (None, None)
    targets = words[2:] if how == "until" else words
    told = {target: {"answered": 0, "failed": 0} for target in targets}
    threads = [threading.Thread(target=ask, args=(target, told, stop)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if result:
        result.write_text(json.dumps(told))
    else:
        sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
