"""daemon.json files that look wrong and are right: the change is made, and nothing else."""

import json
from collections.abc import Iterator

from pyinfra_gvisor.daemon_json.key_table import KEYS
from tests.node.bad_files import GOOD, MEGABYTE, BadFile

NOT_OURS_TO_SAY = {"containerd", "hosts", "labels"}  # and what is asked for
NOT_NULL = {"default-runtime", "default-shm-size", "tls", "tlscacert", "tlscert", "tlskey"}
NULLS = {
    name: None
    for name, key in KEYS.items()
    if not key.since and not key.until and name not in NOT_OURS_TO_SAY | NOT_NULL | {"tlsverify"}
}

TEXTS = {
    "good": GOOD,
    "line ends of Windows": GOOD.replace("\n", "\r\n"),
    "line ends of both kinds": GOOD.replace("\n", "\r\n", 1),
    "no line end": GOOD.rstrip(),
    "many line ends": GOOD + "\n\r\n\t\n",
    "tabs": GOOD.replace("  ", "\t"),
    "one line": json.dumps(json.loads(GOOD)),
    "no space at all": json.dumps(json.loads(GOOD), separators=(",", ":")),
    "keys backwards": json.dumps(dict(reversed(json.loads(GOOD).items())), indent=3),
    "empty object": "{}",
    "empty object in space": " \n{ \n } \n",
    "bracket on the next line": '{\n  "log-opts":\n  {\n    "max-size": "1m"\n  }\n}\n',
    "odd signs": '{"\\u0064ebug": false, "data-root": "\\/var\\/lib\\/docker", "features": {'
    '"gr\u00fc\u00df\u2028\U0001f40b": true, "half a pair \\ud800": true, "\\u0000": true, '
    '"$(touch /run/x) `id` \' %s \\\\ \\" ;": false}}',
    "pair of surrogates": '{"features": {"\\ud83d\\udc0b": true}}',
    "odd keys": '{"registry-mirror": ["https://x"], "http-proxy": "http://x:1", "log-driver": '
    '"loki:2", "runtimes": {"case": {"PATH": "/bin/true"}, "none": {"path": "/none"}, "args": '
    '{"path": "/bin/true", "args": ["--y"]}, "lists": {"runtimeType": "io.x.v2", "options": {"a": '
    + "[" * 90
    + "]" * 90
    + "}}}}",
    "null for every key": json.dumps(NULLS, indent=1),
    "a megabyte of space": GOOD.rstrip("}\n") + " " * MEGABYTE + "\n}\n",
    "a megabyte in one string": json.dumps({"cgroup-parent": "x" * MEGABYTE}),
    "a megabyte of keys": json.dumps({"features": {f"f{at}": True for at in range(62_500)}}),
}

BESIDE = "/etc/docker-beside"
PLACES = {
    "mode 0000": 'cp "$1" "$2"; chmod 0000 "$2"',
    "mode 0777": 'cp "$1" "$2"; chmod 0777 "$2"',
    "of another user": 'cp "$1" "$2"; chown 1000:1000 "$2"; chmod 0640 "$2"',
    "link": f'mkdir -p {BESIDE}; cp "$1" {BESIDE}/a.json; ln -s {BESIDE}/a.json "$2"',
    "relative link": f'mkdir -p {BESIDE}; cp "$1" {BESIDE}/a; ln -s ../docker-beside/a "$2"',
    "link to a link": f'mkdir -p {BESIDE}; cp "$1" {BESIDE}/a; ln -s a {BESIDE}/b;'
    f' ln -s {BESIDE}/b "$2"',
    "two names": f'mkdir -p {BESIDE}; cp "$1" {BESIDE}/a; ln {BESIDE}/a "$2"',
}
NO_FILES = {
    "dangling link": ('ln -s /none "$2"', "^is a symbolic link without a target; "),
    "loop of links": ('ln -s daemon.json "$2"', "^is a symbolic link without a target; "),
    "directory": ('mkdir "$2"; cp "$1" "$2/daemon.json"', "^is a directory; "),
    "link to a directory": (f'mkdir -p {BESIDE}; ln -s {BESIDE} "$2"', "^is a directory; "),
    "fifo": ('mkfifo "$2"', "^is not a regular file; "),
    "device": ('mknod "$2" c 1 3', "^is not a regular file; "),
    "socket": (
        'perl -e \'socket(S,1,1,0); bind(S, pack("S a*", 1, $ARGV[0]))\' "$2"',
        "^is not a regular file; ",
    ),
}


def accepted() -> Iterator[BadFile]:
    """Yield all files that must work."""
    for name, text in TEXTS.items():
        yield BadFile(name, text.encode())
    for name, place in PLACES.items():
        yield BadFile(name, GOOD.encode(), place=place)
    for name, old in (("empty", ""), ("white space", " \t\r\n\n")):
        yield BadFile(name, old.encode(), lost=old)
    for name, old in (("labels that are null", "null"), ("labels of others", '["a=1", "b"]')):
        yield BadFile(name, f'{{"labels":\t{old} , "icc": true}}'.encode(), lost=old)


def no_files() -> Iterator[BadFile]:
    """Yield what lies there instead of a file."""
    for name, (place, says) in NO_FILES.items():
        yield BadFile(name, GOOD.encode(), says, place=place)
