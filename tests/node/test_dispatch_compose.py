"""What people do with Docker and Docker Compose, where gVisor is the default."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.audits import sh
from tests.node.containers import remove_container
from tests.node.dispatching import IMAGE, Ground, in_sandbox, program, start
from tests.node.running import CURRENT, SENTRY

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "compose-options.md"
ROW = re.compile(r"^\| `(?P<option>[^`]+)` \| (?P<gets>[^|]+?) \|", re.MULTILINE)
AS_UNDER_RUNC = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROWS = [
    *((line, "the same") for line in AS_UNDER_RUNC.findall(PAGE.read_text())[0].splitlines()),
    *((found["option"], found["gets"]) for found in ROW.finditer(PAGE.read_text())),
]
NODE = "docker-29"  # it has Compose 2
FILE = "/root/options/compose.yaml"
# Prints a line for each service: its name, the program of its process, and Docker's error.
_START = f"""
set -eu
mkdir -p /srv/site
[ -f /etc/localtime ] || ln -s /usr/share/zoneinfo/UTC /etc/localtime
cd {Path(FILE).parent}
for name in $(docker compose config --services); do
    docker compose --progress quiet create "$name" > said 2>&1 &&
        docker start "options-$name-1" > said 2>&1 || :
    pid=$(docker inspect --format '{{{{.State.Pid}}}}' "options-$name-1" 2> /dev/null) || pid=none
    echo "$name $(readlink "/proc/$pid/exe" || echo -) $(tr '\\n' ' ' < said)"
done
"""


def composed() -> str:
    """A compose file with a service for each row."""
    text = "name: options\nvolumes: {data: {}}\nservices:\n"
    for name, option in (("other", ""), *((f"row-{at}", row[0]) for at, row in enumerate(ROWS))):
        command = "" if option.startswith("entrypoint") else "    command: [sleep, infinity]\n"
        text += f"  {name}:\n    image: {IMAGE}\n{command}    {option}\n"
    return text


@pytest.fixture(scope="module")
def started(dispatch: Ground) -> Iterator[dict[str, tuple[str, str]]]:
    """What the container of each row runs, and Docker's error, by option."""
    node = dispatch.ready(NODE)[NODE]
    node.put(FILE, composed().encode())
    ran = node.exec("sh", "-c", _START)
    assert ran.code == 0, ran.stderr
    lines = dict(line.split(" ", 1) for line in ran.stdout.splitlines())
    words = {option: lines[f"row-{at}"].split(" ", 1) for at, (option, _) in enumerate(ROWS)}
    yield {option: (program, error) for option, (program, error) in words.items()}
    sh(node, f"cd {Path(FILE).parent}; docker compose --progress quiet down -v -t 0")


@pytest.mark.parametrize(("option", "gets"), [pytest.param(*row, id=row[0]) for row in ROWS])
def test_an_option_of_compose_gets_what_the_table_says(
    started: dict[str, tuple[str, str]], option: str, gets: str
) -> None:
    program, error = started[option]

    if gets.startswith("refused: "):
        assert program == "-"
        assert gets.removeprefix("refused: ") in error
    else:
        assert error.startswith("options-row-"), error  # as docker start says it
        assert (program == SENTRY) is gets.startswith("the same")


EDGE = """\
name: edge
volumes: {certificates: {}}
services:
  proxy:
    image: traefik:v3
    command: [sleep, infinity]
    ports: ["8081:80"]
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro", "certificates:/certificates"]
"""


USED = f"""
set -eu
mkdir -p /root/usual
cd /root/usual
cat > compose.yaml << EOF
name: usual
services:
  web:
    image: {IMAGE}
    command: [sleep, infinity]
    volumes: [data:/data]
    ports: ["127.0.0.1::80"]
    healthcheck: {{test: "true", interval: 1s}}
    configs: [{{source: made, target: /made}}]
volumes: {{data: {{}}}}
configs: {{made: {{content: "from compose"}}}}
EOF
docker save {IMAGE} | docker load > /dev/null
docker run --rm {IMAGE} echo one
docker run --rm -i {IMAGE} cat < /etc/hostname > /dev/null
docker cp /etc/hostname app:/tmp/
docker exec app true
docker cp app:/tmp/hostname - > /dev/null
docker stats --no-stream app > /dev/null
docker events --since 1m --until 0s > /dev/null
docker commit app usual:1 > /dev/null
docker update --memory 512m --memory-swap 512m app > /dev/null
printf 'FROM {IMAGE}\\nRUN echo built > /built\\n' > Dockerfile
docker build -q -t usual:2 . > /dev/null
docker run --rm usual:2 cat /built
docker network create usual > /dev/null
docker network connect usual app
docker network disconnect usual app
docker network rm usual > /dev/null
docker rmi usual:1 usual:2 > /dev/null
seq 30 | xargs -P 8 -I N docker create --name many-N {IMAGE} true > /dev/null
docker ps -aq --filter name=many- | xargs docker rm > /dev/null
"""
COMPOSED = """
set -eu
cd /root/usual
docker compose --progress quiet up -d --wait
docker compose exec -T web cat /made
docker compose logs > /dev/null
docker compose cp /etc/hostname web:/tmp/
docker compose --progress quiet down -v -t 0
"""


def test_what_people_do_with_docker_passes(dispatch: Ground) -> None:
    node = dispatch.ready(NODE)[NODE]
    start(node, "app")

    said = [*sh(node, USED).split(), *sh(node, COMPOSED).splitlines()]

    assert said == ["one", "built", "from compose"]
    assert in_sandbox(node, "app")
    remove_container(node, "app")


def test_a_new_proxy_runs_after_the_command_that_docker_prints(
    dispatch: Ground, tmp_path: Path
) -> None:
    node = dispatch.nodes[NODE]
    data = {**CURRENT, "gvisor_default": "sandbox"}
    dispatch.fleet.deploy(NODE, data=data)
    data["gvisor_infrastructure"] = str(tmp_path / "infrastructure.json")
    node.put("/srv/edge/compose.yaml", EDGE.encode())
    up = ("sh", "-c", "cd /srv/edge && docker compose --progress quiet up -d")
    sh(node, f"docker tag {IMAGE} traefik:v3")

    refused = node.exec(*up)
    try:
        named = re.search(r"'pyinfra-gvisor accept (\S+)'", refused.stderr)
        assert named, refused.stderr
        accepted = dispatch.fleet.accept([NODE], [named[1]], data, {}, reason="our own proxy")
        assert accepted.returncode == 0, accepted.stderr
        sh(node, up[2])

        assert program(node, "edge-proxy-1").endswith("busybox")
        assert refused.code != 0
    finally:
        away = "cd /srv/edge; docker compose --progress quiet down -v -t 0"
        sh(node, f"{away}; docker rmi traefik:v3")
        dispatch.known.discard(NODE)


def test_the_table_has_what_most_apps_ask_for() -> None:
    assert len({option for option, _ in ROWS}) == len(ROWS) >= 30
