"""A log driver or an option that cannot work is refused: ``dockerd --validate`` takes them all."""

from contextlib import nullcontext

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.log_drivers import GENERIC, OPTIONS, REQUIRED, SINCE, UNTIL
from pyinfra_gvisor.daemon_json.merge import flatten
from pyinfra_gvisor.daemon_json.refusals import refuse
from pyinfra_gvisor.node import Node
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import info, node

# docker info of 28.5.2+dfsg4, which is built without gcplogs
DRIVERS: list[Json] = [
    *("awslogs", "fluentd", "gelf", "journald", "json-file", "local", "splunk", "syslog")
]
NOT_BLOCKING = {"mode": "non-blocking"}
LISTED: dict[str, Json] = {"Volume": ["local"], "Log": DRIVERS}
LOKI: dict[str, Json] = {"log-opts": {"loki-url": "x"}}
BAD_VALUES = {
    "a": ({"max-size": "10 megs"}, 'size must be a size.*"10 megs"'),
    "size-0": ({"max-size": "0"}, "size must be more than 0"),
    "negative-size": ({"max-size": "-1"}, "size must be a size"),
    "files-x": ({"max-file": "x"}, "file must be a whole number"),
    "endless": ({"max-file": "9" * 5000}, "file must be a whole"),
    "space": ({"max-file": " 3"}, "file must be a whole number"),
    "files-0": ({"max-file": "0"}, "file must be 1 or more"),
    "alone": ({"compress": "true"}, "compress must be false unless"),
    "one-file": ({"compress": "true", "max-size": "1m"}, "compress must be false"),
    "yes": ({"compress": "yes"}, 'compress must be "true" or "f'),
    "mode": ({"mode": "x"}, "mode must be blocking or non-blocking"),
    "blocking": ({"max-buffer-size": "4m"}, "max-buffer-size needs"),
    "buffer": (NOT_BLOCKING | {"max-buffer-size": "4 megs"}, "max-buffer-size must be a size"),
    "cache": ({"cache-disabled": "x"}, 'cache-disabled must be "true"'),
}
GOOD_VALUES = {
    "usual": {"max-size": "10m", "max-file": "3"},
    "space": {"max-size": "10 MiB"},
    "fraction": {"max-size": "1.5g"},
    "bytes": {"max-size": "10"},
    "plus": {"max-file": "+3"},
    "compress": {"max-size": "1m", "max-file": "2", "compress": "T"},
    "no-compress": {"compress": "false"},
    "buffer": {**NOT_BLOCKING, "max-buffer-size": "4m"},
    "attributes": {"mode": "", "labels": "a", "tag": "x"},
    "cache": {"cache-disabled": "true", "cache-max-size": "1m"},
}


def check(value: dict[str, Json], *, found: Node | None = None, ours: bool = True) -> None:
    """The rules on a file that holds ``value``, which is ours or somebody else's."""
    refuse(found or node(), value, flatten(value) if ours else {})


def with_docker(version: str = "26.1.5", plugins: dict[str, Json] | None = None) -> Node:
    """A node whose dockerd is of this version and lists these plugins."""
    return node(docker=info(ServerVersion=version, Plugins=plugins))


@table("options, message", BAD_VALUES)
def test_an_option_that_json_file_cannot_read_is_refused(options: Data, message: str) -> None:
    with pytest.raises(Problem, match=f"^/log-opts/(max-)?{message}"):
        check({"log-opts": options}, ours=False)


@table("options", GOOD_VALUES)
def test_an_option_that_json_file_reads_is_not_refused(options: dict[str, Json]) -> None:
    check({"log-opts": options, "log-driver": "json-file"})


@table(
    "options, refused",
    one_file_and_compress_by_default=({"max-file": "1"}, True),
    one_file=({"max-file": "1", "compress": "false"}, False),
    no_file=({"max-file": "0", "compress": "false"}, False),
    less_than_no_file=({"max-file": "-1", "compress": "false"}, True),
    size_0=({"max-size": "0"}, False),
    no_size=({"max-size": "10 megs"}, True),
    compress=({"max-size": "1m", "compress": "true"}, False),
)
def test_the_local_driver_has_rules_of_its_own(options: dict[str, Json], refused: bool) -> None:
    with pytest.raises(Problem, match=r"^/log-opts/max-") if refused else nullcontext():
        check({"log-driver": "local", "log-opts": options})


@table(
    "driver, option, message",
    i=({}, "max-sise", "json-file; did you mean max-size"),
    underscore=({"log-driver": "json-file"}, "max_size", r"json-file; .*max-size\?$"),
    local=({"log-driver": "local"}, "labels", "local; use"),
    documented_only=({"log-driver": "awslogs"}, "awslogs-create-stream", "awslogs"),
)
def test_an_option_that_the_driver_does_not_know_is_refused(
    driver: dict[str, Json], option: str, message: str
) -> None:
    with pytest.raises(Problem, match=f"^/log-opts/{option} is not an option of {message}"):
        check({**driver, "log-opts": {option: "1"}}, ours=False)


@pytest.mark.parametrize("driver", [name for name in OPTIONS if name != "logentries"])
def test_every_option_of_a_driver_is_taken_by_the_version_that_has_it(driver: str) -> None:
    known = {
        **dict.fromkeys(OPTIONS[driver], "1"),
        "max-size": "1m",
        "max-file": "3",
        "syslog-address": "udp://192.0.2.1:514",
    }
    options: dict[str, Json] = {
        name: known[name] for name in sorted(OPTIONS[driver]) if name not in UNTIL
    }

    check({"log-driver": driver, "log-opts": options}, found=with_docker("28.5.2"))


@pytest.mark.parametrize(
    ("option", "version", "refused"),
    [
        *(
            pytest.param(name, (since[0] - 1, 9), True, id=f"{name}-before")
            for name, since in SINCE.items()
        ),
        *(pytest.param(name, since, False, id=name) for name, since in SINCE.items()),
        *(pytest.param(name, until, True, id=f"{name}-gone") for name, until in UNTIL.items()),
        *(pytest.param(name, (27, 5), False, id=f"{name}-still") for name in UNTIL),
    ],
)
def test_an_option_of_another_version_is_refused(
    option: str, version: tuple[int, int], refused: bool
) -> None:
    driver = option.split("-", maxsplit=1)[0]
    options: dict[str, Json] = {"awslogs-group": "g"} if driver == "awslogs" else {}
    value: dict[str, Json] = {"log-driver": driver, "log-opts": {**options, option: "1"}}
    found = with_docker(".".join(map(str, version)) + ".0")

    message = f"^/log-opts/{option} is not an option of {driver}"
    with pytest.raises(Problem, match=message) if refused else nullcontext():
        check(value, found=found)


@pytest.mark.parametrize(
    ("driver", "option"), [pytest.param(*pair, id=pair[0]) for pair in REQUIRED.items()]
)
def test_an_option_without_which_dockerd_does_not_start_is_asked_for(
    driver: str, option: str
) -> None:
    check({"log-driver": driver})

    with pytest.raises(Problem, match=f"^/log-opts/{option} is missing, and {driver} needs it"):
        check({"log-driver": driver, "log-opts": {"tag": "x"}})


def test_an_address_for_syslog_needs_a_protocol() -> None:
    with pytest.raises(Problem, match=r"^/log-opts/syslog-address must be an address such as"):
        check({"log-driver": "syslog", "log-opts": {"syslog-address": "192.0.2.1:514"}})


@table(
    "name, advice",
    misspelt=("jsonfile", r"did you mean json-file\?"),
    another_case=("Journald", r"did you mean journald\?"),
    built_without_it=("gcplogs", "use one of "),
)
def test_a_driver_that_this_dockerd_does_not_have_is_refused(name: str, advice: str) -> None:
    with pytest.raises(Problem, match=f"^/log-driver is unknown to .*, got {name}; {advice}"):
        check({"log-driver": name}, found=with_docker(plugins=LISTED), ours=False)


@table(
    "value, flags",
    none_with_any_option=({"log-driver": "none", "log-opts": {"whatever": "x"}}, []),
    in_the_list=({"log-driver": "syslog"}, []),
    plugin=({"log-driver": "grafana/loki-docker-driver:latest", **LOKI}, []),
    plugins_alias=({"log-driver": "loki", **LOKI}, []),
    default=({"log-driver": ""}, []),
    of_a_flag=(LOKI, ["--log-driver=loki"]),
)
def test_a_driver_that_may_be_there_is_not_refused(value: Data, flags: list[str]) -> None:
    check(value, found=node(docker=info(Plugins=LISTED), flags=flags))


@table("plugins", an_empty_list={"Log": []}, no_list={}, no_plugins=None)
def test_without_a_list_of_drivers_those_that_docker_brings_are_known(plugins: Data | None) -> None:
    check({"log-driver": "logentries"}, found=with_docker(plugins=plugins))

    with pytest.raises(Problem, match=r"^/log-driver is unknown"):
        check({"log-driver": "jsonfile"}, found=with_docker(plugins=plugins))


def test_what_holds_for_every_driver_is_no_drivers_own() -> None:
    assert not any(GENERIC & options for options in OPTIONS.values())
