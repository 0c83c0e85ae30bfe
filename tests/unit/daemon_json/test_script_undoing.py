"""The scripts that undoing needs: what was before, who uses what, and what may be removed."""

from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.generations import parse_generations
from pyinfra_gvisor.daemon_json.merge import Owned, OwnedPath
from pyinfra_gvisor.daemon_json.runtime_users import END, RuntimeUser, parse_runtime_users
from tests.table import table
from tests.unit.shells import replaced, run, stub, toolbox

OWNED = Owned(paths={"/labels": OwnedPath(wrote=["gr\u00fc\u00df"])})
TEXT = '{\r\n\t"bip": "gr\u00fc\u00df \\u00e4"\r\n}'

# What runtime_users.sh asks for, answered from files.
DOCKER = """
case "$1 $2" in
    "ps -aq") cat ids; exit "$(cat code)" ;;
    "inspect --format") [ -e "$4" ] && cat "$4" || { echo "no such object: $4" >&2; exit 1; } ;;
    *) echo "unexpected: $*" >&2; exit 64 ;;
esac
"""


def generations(root: Path) -> list[str]:
    """What the script prints of the generations under ``root``."""
    text = replaced(
        script("daemon_json/generations"), {"/var/lib/pyinfra-gvisor/generations": root}
    )
    ran = run(text, path=toolbox(root.parent / "bin"))
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.rstrip("\n").split("\n")


def keep(root: Path, name: str, **files: str) -> None:
    """A generation with these files."""
    (root / name).mkdir(parents=True)
    for file, text in files.items():
        (root / name / f"{file}.json").write_bytes(text.encode())


def test_generations_are_printed_as_they_are_read_and_what_is_half_made_is_none(
    tmp_path: Path,
) -> None:
    root = tmp_path / "generations"
    keep(root, "9", daemon=TEXT, owned=OWNED.model_dump_json() + "\n", applied="{}")
    keep(root, "10", daemon="")
    keep(root, "11")
    keep(root, ".new", daemon="{}")
    (root / "2").write_text("a file")

    ninth, tenth, eleventh = parse_generations(generations(root))

    assert (ninth.number, ninth.text, ninth.owned) == (9, TEXT, OWNED)
    assert ninth.made_s == int((root / "9").stat().st_mtime)
    assert (tenth.number, tenth.text, tenth.owned) == (10, "", Owned())
    assert (eleventh.number, eleventh.text) == (11, None)


@table("there", empty=True, none=False)
def test_a_node_without_generations_has_none(tmp_path: Path, there: bool) -> None:
    root = tmp_path / "generations"
    if there:
        root.mkdir()

    assert parse_generations(generations(root)) == ()


def users(root: Path, inspected: dict[str, str], *, code: int = 0) -> tuple[int, list[str]]:
    """Exit code and lines of the script on a node with these containers."""
    path = toolbox(root / "bin")
    (root / "ids").write_text("".join(f"{name}\n" for name in inspected))
    (root / "code").write_text(str(code))
    for name, line in inspected.items():
        if line:
            (root / name).write_text(line + "\n")
    stub(path, "docker", f"cd '{root}'\n{DOCKER}")
    text = script("daemon_json/runtime_users") + f"runtime_users && echo '{END}'\n"
    ran = run(text, path=path)
    return ran.returncode, ran.stdout.rstrip("\n").split("\n")


def test_containers_are_printed_as_they_are_read(tmp_path: Path) -> None:
    lines = {"a": '["/shop",true,"runsc"]', "b": '["/gr\u00fc\u00df",false,""]'}

    code, said = users(tmp_path, lines)

    assert code == 0
    assert parse_runtime_users(said) == (
        RuntimeUser(name="shop", running=True, runtime="runsc"),
        RuntimeUser(name="gr\u00fc\u00df", running=False, runtime=""),
    )


def test_a_docker_that_does_not_answer_is_not_a_node_without_containers(tmp_path: Path) -> None:
    code, said = users(tmp_path, {}, code=1)

    assert code != 0
    with pytest.raises(ValueError, match="is incomplete"):
        parse_runtime_users(said)


@table("there, told", removed_meanwhile=(False, True), not_told=(True, False))
def test_a_container_counts_unless_it_was_removed_meanwhile(
    tmp_path: Path, there: bool, told: bool
) -> None:
    path = toolbox(tmp_path / "bin")
    (tmp_path / "ids").write_text("a\n")
    gone = "" if there else ": > ids;"
    stub(path, "docker", f"cd '{tmp_path}'; [ $1 = inspect ] && {{ {gone} exit 1; }}; cat ids")

    ran = run(script("daemon_json/runtime_users") + "runtime_users && echo all", path=path)

    assert ran.stdout == ("all\n" if told else "")


def check_leaving(root: Path, leaving: str, inspected: dict[str, str], *, code: int = 0) -> str:
    """What the transaction says about these containers before its first change."""
    source = script("daemon_json/apply")
    function = source[source.index("check_leaving() {") :].partition("\n}\n")[0] + "\n}\n"
    users(root, inspected, code=code)
    given = f"work='{root}' leaving='{leaving}' state_dir=/state\n"
    said = 'say() { printf "%s\\n" "$*"; }\ndie() { say "$*"; exit 1; }\n'
    text = script("daemon_json/runtime_users") + function
    text = f"set -eu\n{given}{said}{text}check_leaving\nsay fine"
    path = toolbox(root / "tools", "grep", "sed", "tr")
    stub(path, "docker", f"cd '{root}'\n{DOCKER}")
    return run(text, path=path).stdout


LEAVE = ',"net"]\n,"old"]'
USED = "containers use runtimes that are to be removed: shop uses net; run again\n"
UNTOLD = "a runtime is to be removed, but Docker does not list the containers that may use it\n"


@table(
    "leaving, first, code, said",
    used_by_one_that_runs=(LEAVE, '["/shop",true,"net"]', 0, USED),
    used_by_one_that_does_not=(LEAVE, '["/shop",false,"net"]', 0, USED),
    used_by_nobody=(',"net"]', '["/net",true,"runsc"]', 0, "fine\n"),
    none_leaves_and_nobody_is_asked=("", '["/net",true,"runsc"]', 1, "fine\n"),
    docker_does_not_tell=(',"net"]', "", 1, UNTOLD),
)
def test_a_change_begins_only_where_it_is_known_that_nobody_uses_what_leaves(
    tmp_path: Path, leaving: str, first: str, code: int, said: str
) -> None:
    lines = {"a": first, "b": '["/web",true,"network"]'} if first else {}

    assert check_leaving(tmp_path, leaving, lines, code=code) == said


class Gvisor:
    """Everything of ours under a directory."""

    def __init__(self, root: Path) -> None:
        self.gvisor = root / "gvisor"
        self.link = root / "runsc"
        self.state_dir = root / "state"
        self.runs = root / "runs"
        self.file = root / "etc" / "daemon.json"
        self.path = toolbox(root / "bin", "rmdir")
        for directory in (self.release("1"), self.release("2"), self.state_dir, self.runs):
            directory.mkdir(parents=True)
        (self.gvisor / "runtimes").mkdir()
        self.wrapper.write_text("exec runsc")
        self.link.symlink_to(self.release("1"))

    def release(self, name: str) -> Path:
        """Where a release lies."""
        return self.gvisor / "releases" / name

    @property
    def wrapper(self) -> Path:
        """A wrapper."""
        return self.gvisor / "runtimes" / "runsc-1"

    def remove(self, *paths: Path | str, link: str = "yes", state: str = "yes") -> tuple[int, str]:
        """The script with these arguments: its exit code, and what it complains of."""
        given = {"link": link, "state": state, "state_dir": str(self.state_dir)}
        text = script("releases/remove", file=str(self.file), **given)
        changes: dict[str, str | Path] = {
            "/opt/gvisor": self.gvisor,
            "/usr/local/bin/runsc": self.link,
            "/run/pyinfra-gvisor": self.runs,
        }
        ran = run(replaced(text, changes), *map(str, paths), path=self.path)
        return ran.returncode, ran.stderr


@pytest.fixture
def ours(tmp_path: Path) -> Gvisor:
    """A node with two releases, a wrapper, the link and records."""
    return Gvisor(tmp_path)


def test_everything_goes_no_directory_is_left_and_removing_again_is_no_error(ours: Gvisor) -> None:
    everything = (ours.wrapper, ours.release("1"), ours.release("2"))
    for state in ("no", "no", "yes"):
        assert ours.remove(*everything, state=state) == (0, "")
    for path in (ours.gvisor, ours.state_dir, ours.runs):
        assert not path.exists()
    assert not ours.link.is_symlink()


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "again"])
def test_a_file_of_others_that_was_put_aside_is_kept_beside_theirs(
    ours: Gvisor, earlier: bool
) -> None:
    (ours.state_dir / "daemon.json.refused").write_text("theirs")
    kept = ours.file.with_name("daemon.json.refused")
    if earlier:
        kept.parent.mkdir()
        kept.write_text("earlier")

    code, said = ours.remove()

    assert (code, f"kept {kept}" in said) == (0, True)
    texts = {item.read_text() for item in kept.parent.iterdir()}
    assert texts == ({"theirs", "earlier"} if earlier else {"theirs"})
    assert kept.read_text() == "theirs"
    assert not ours.state_dir.exists()


def test_what_is_not_named_stays(ours: Gvisor) -> None:
    assert ours.remove(ours.release("2"), link="no", state="no") == (0, "")
    assert not ours.release("2").exists()
    for path in (ours.release("1"), ours.wrapper, ours.link, ours.state_dir, ours.runs):
        assert path.exists()


@table(
    "path",
    all_releases="{root}/gvisor/releases/",
    all_wrappers="{root}/gvisor/runtimes/",
    the_directory_itself="{root}/gvisor",
    elsewhere="{root}/other",
    relative="other",
    empty="",
)
def test_a_path_that_is_none_of_ours_is_refused_and_stays(
    ours: Gvisor, tmp_path: Path, path: str
) -> None:
    (tmp_path / "other").mkdir()
    named = path.format(root=tmp_path)

    ended = ours.remove(named)

    assert ended == (1, f"{named} does not belong to pyinfra-gvisor; it was not removed\n")
    for there in (ours.release("1"), ours.wrapper, ours.state_dir, tmp_path / "other"):
        assert there.exists()
