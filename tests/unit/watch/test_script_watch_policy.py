"""The policy in Python and the watch's in perl say the same of every container."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from pyinfra_gvisor.policy.selectors import Exemption, Selector, exempted, must_be_sandboxed
from tests.table import table
from tests.unit.answers import compact
from tests.unit.fake_docker import container, says
from tests.unit.watch.watch_script import REASON, Watched

Case = tuple[str, Mapping[str, str]]

NAMES = [
    *("app", "a.b", "axb", "a-b", "a_b", "shop-1", "shop", "SHOP-1", "sh", "s", "[", "]"),
    *("[a]", "a]", "!", "-", "^", "\\", "a\\b", "$x", "@y", "x|y", "(x)", "a{2}", "aa", "x y"),
    *("#x", "%41", "gr\u00fc\u00df", "\u00fc", "z\u00e9", "\U0001f40b", "\u2028", ":", "l"),
    *("0", "z", "Z", "&&", "~"),
]
PATTERNS = [
    *("*", "?", "??", "a.b", "a?b", "shop-*", "*-1", "*o*", "s*h*-?", "[", "[]", "[!]", "[a"),
    *("a[", "[]]", "[!]]", "[!a]*", "[a-c]*", "[c-a]", "[!c-a]", "[a-]", "[-a]", "[]-a]"),
    *("[--/]", "[a-c-z]", "[^a]", "[\\]", "[a\\-z]*", "\\", "a\\*", "[[]*", "[[:alpha:]]"),
    *("[a[:alpha:]]", "[&&~]", "[a-cx-z]*", "$x", "[$]x", "@y", "x|y", "(x)", "a{2}", "a+"),
    *("^a", "x y", "#x", "%41", "gr\u00fc*", "?\u00fc\u00df", "[\u00e0-\u00ff]"),
    *("[!\u00e0-\u00ff]", "\U0001f40b", "[\U0001f400-\U0001f4ff]", "\u2028", "***", "*?*"),
]
VALUES = [
    *("", "true", "True", " true", "a b", 'say "x"', "a=b", "=", "two\nlines", "\t", "%20"),
    *("a%b", "\\n", "gr\u00fc\u00df", "\U0001f40b", "<&>", "\u2028", "{[", "must", "# x"),
    *("x" * 3000, "\x01", "\u00a0"),
]
LABELS = ["a", "a b", "=", "", "x\ny", "gr\u00fc\u00df", 'q"', "%41", "coolify.type", "#", "name"]


selectors = st.builds(
    lambda name, labels: Selector(name=name, labels=labels),
    st.sampled_from(PATTERNS),
    st.dictionaries(
        st.sampled_from(LABELS),
        st.one_of(
            st.sampled_from(VALUES), st.lists(st.sampled_from(VALUES), max_size=3).map(tuple)
        ),
        max_size=2,
    ),
)
exemptions = selectors.map(lambda item: Exemption(**dict(item), reason=REASON))
cases = st.tuples(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(LABELS), st.sampled_from(VALUES), max_size=3),
)


def reported(
    must: Sequence[Selector],
    exempt: Sequence[Exemption],
    found: Sequence[Case],
    *,
    as_json: Callable[[object], str] = compact,
) -> list[Case]:
    """The cases whose containers the script reports, told apart by their ids."""
    ids = [f"{number:012x}".ljust(64, "0") for number in range(len(found))]
    documents = [
        container(0, os.getpid(), name=name, labels=labels, others={"Id": identity})
        for identity, (name, labels) in zip(ids, found, strict=True)
    ]
    bodies = {f"/containers/{item['Id']}/json": says(as_json(item)) for item in documents}
    with TemporaryDirectory() as root:
        looked = Watched(Path(root), must, exempt).look(documents, bodies)
    assert (looked.code, looked.stderr) == (0, "")
    named = set(re.findall(r"\(([0-9a-f]{12})\) must run", looked.stdout))
    return [case for identity, case in zip(ids, found, strict=True) if identity[:12] in named]


def expected(
    must: Sequence[Selector], exempt: Sequence[Exemption], found: Sequence[Case]
) -> list[Case]:
    """The cases that the policy in Python means."""
    return [
        one for one in found if must_be_sandboxed(must, *one) and exempted(exempt, *one) is None
    ]


def test_a_name_is_matched_by_every_pattern_as_in_python() -> None:
    must = [Selector(name=item, labels={"at": str(at)}) for at, item in enumerate(PATTERNS)]
    found = [(name, {"at": str(at)}) for at in range(len(PATTERNS)) for name in NAMES]

    wanted = expected(must, (), found)

    assert reported(must, (), found) == wanted
    assert 250 < len(wanted) < len(found) / 2


@table("as_json", as_docker=compact, escaped=json.dumps)
def test_a_labels_value_is_compared_whole(as_json: Callable[[object], str]) -> None:
    must = [Selector(labels={"at": str(at), "a": item}) for at, item in enumerate(VALUES)]
    found = [(name, {"at": str(at), "a": name}) for at in range(len(VALUES)) for name in VALUES]

    wanted = expected(must, (), found)

    assert (reported(must, (), found, as_json=as_json), len(wanted)) == (wanted, len(VALUES))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(selectors, max_size=4),
    st.lists(exemptions, max_size=2),
    st.lists(cases, min_size=1, max_size=12),
)
def test_selectors_and_exemptions_together_mean_what_they_mean_in_python(
    must: list[Selector], exempt: list[Exemption], found: list[Case]
) -> None:
    wanted = expected(must, exempt, found)

    assert reported(must, exempt, found) == wanted
