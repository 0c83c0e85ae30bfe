"""
Run on a node with a door: asks dockerd in many spellings for containers that are not allowed.

Prints what dockerd made of them: a line of JSON for each container that was made and that has more
than an ordinary one, then how many requests had which status.
"""

import http.client
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

SOCKET = "/var/run/docker.sock"
WANTED: dict[str, Any] = {
    "Privileged": True,
    "Binds": ["/etc:/x"],
    "PidMode": "host",
    "CapAdd": ["SYS_ADMIN"],
    "Runtime": "runc",
    "Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/x"}],
}
HARMLESS: dict[str, Any] = {
    "Privileged": False,
    "Binds": None,
    "PidMode": "",
    "CapAdd": [],
    "Runtime": "",
    "Mounts": [],
}
TYPES = (
    *("application/json", "application/json; charset=utf-8", "APPLICATION/JSON"),
    *("text/json", "application/x-www-form-urlencoded", ""),
)
PATHS = (
    *("/containers/create", "/v1.41/containers/create", "/%63ontainers/create"),
    *(
        "//containers/create",
        "/containers/./create",
        "/containers/create/",
        "/v1.41//containers/create",
    ),
    *("/containers/create?name=fuzz", "/containers/create?x=%2F..%2F"),
)


class Connection(http.client.HTTPConnection):
    """A connection to dockerd."""

    def connect(self) -> None:
        """Connect to its socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(SOCKET)


def call(method: str, path: str, body: str | None = None, kind: str = "") -> tuple[int, Any]:
    """Return status and answer of a request."""
    connection = Connection("docker")
    headers = {"Content-Type": kind} if kind else {}
    connection.request(method, path, body.encode() if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text.decode(errors="replace")


def spelt(draw: random.Random, key: str) -> str:
    """A key as dockerd may read it, too."""
    folded = {"s": "\u017f", "k": "\u212a"}
    return "".join(
        draw.choice([letter, letter.swapcase(), folded.get(letter.lower(), letter)])
        if draw.random() < 0.3
        else letter
        for letter in key
    )


def objects(draw: random.Random, pairs: list[tuple[str, str]]) -> str:
    """An object with these members, some of them twice and in any spelling."""
    members = [(spelt(draw, key) if draw.random() < 0.5 else key, text) for key, text in pairs]
    if draw.random() < 0.3:
        draw.shuffle(members)
    return "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in members) + "}"


def bodies(draw: random.Random, image: str) -> Iterator[str]:
    """Requests for containers that are not allowed."""
    while True:
        keys = draw.sample([*WANTED], draw.randint(1, 3))
        inner = [(key, json.dumps(WANTED[key])) for key in keys]
        if draw.random() < 0.5:
            inner += [(key, json.dumps(HARMLESS[key])) for key in keys]
        host = objects(draw, inner)
        outer = [("Image", json.dumps(image)), ("Cmd", '["true"]')]
        place = draw.random()
        if place < 0.6:
            outer.append(("HostConfig", host))
        elif place < 0.8:  # where old versions look, too
            outer += inner
        else:
            outer += [("HostConfig", "{}"), ("HostConfig", host)]
        text = objects(draw, outer)
        yield text if draw.random() < 0.9 else f"{text} {{}}"


def more_than_ordinary(found: dict[str, Any]) -> bool:
    """Return True for a container that has any of what was wanted."""
    host = found["HostConfig"]
    return bool(
        host["Privileged"]
        or host["Binds"]
        or host["PidMode"] == "host"
        or host["CapAdd"]
        or host["Runtime"] == "runc"
        or found["Mounts"]
    )


def tell(what: Any) -> None:
    """Print a line."""
    sys.stdout.write(f"{json.dumps(what)}\n")


def main() -> None:
    """Ask, and print."""
    image, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    draw, more = random.Random(seed), random.Random(seed + 1)  # noqa: S311 - nothing is a secret
    made = bodies(more, image)
    statuses: Counter[int] = Counter()
    for _ in range(count):
        body, path, kind = next(made), draw.choice(PATHS), draw.choice(TYPES)
        status, answer = call("POST", path, body, kind)
        statuses[status] += 1
        if status != 201:
            continue
        _, found = call("GET", f"/containers/{answer['Id']}/json")
        if more_than_ordinary(found):
            tell({"path": path, "kind": kind, "body": body})
        call("DELETE", f"/containers/{answer['Id']}?force=1")
    tell({str(key): number for key, number in sorted(statuses.items())})


if __name__ == "__main__":
    main()
