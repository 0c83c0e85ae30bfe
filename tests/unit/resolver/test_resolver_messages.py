"""What the forwarder reads in DNS messages, and the failures that it writes."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pyinfra_gvisor.parts.resolver.forwarder import messages
from tests.table import table
from tests.unit.resolver.resolver_fakes import answer, query

WITH_EDNS = query()[:11] + b"\x01" + query()[12:] + bytes.fromhex("00002904d0000000000000")
NAMES = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=63),
    min_size=1,
    max_size=3,
).map(".".join)


@table(
    "message, expected",
    IPv6=(query("db", kind=28), True),
    no_recursion_desired=(query("db", flags=0), True),
    EDNS_behind_the_question=(WITH_EDNS, True),
    the_root=(query()[:12] + b"\0" + b"\0\x02\0\x01", True),
    an_answer=(answer(query()), False),
    a_dynamic_update=(query(flags=0x2900), False),
    a_notice=(query(flags=0x2000), False),
    no_question=(query()[:4] + b"\0\0" + query()[6:], False),
    two_questions=(query()[:4] + b"\0\2" + query()[6:] * 2, False),
    a_name_that_points_at_itself=(query()[:12] + b"\xc0\x0c\0\1\0\1", False),
    more_than_any_question_has=(query() + bytes(messages.MOST_QUERY_BYTES), False),
)
def test_a_query_has_one_question_and_nothing_else_is_one(message: bytes, expected: bool) -> None:
    assert messages.is_query(message) is expected


@table(
    "message, expected",
    other_letters=(answer(query("DB")), True),
    refused_without_the_question=(query()[:2] + b"\x81\x85" + bytes(8), True),
    half_a_header=(answer(query("db"))[:11], False),
    the_query_itself=(query("db"), False),
    another_number=(answer(query("db", number=8)), False),
    another_name=(answer(query("db2")), False),
    another_type=(answer(query("db", kind=28)), False),
    well_but_without_the_question=(query()[:2] + b"\x81\x80" + bytes(8), False),
    half_a_question=(answer(query("db"))[:14], False),
)
def test_an_answer_is_known_by_number_and_question(message: bytes, expected: bool) -> None:
    assert messages.is_answer_to(query("db"), message) is expected


def test_a_failure_has_number_question_and_flags_of_the_query_of_which_half_is_none() -> None:
    said, asked = messages.failure(WITH_EDNS, messages.SERVFAIL), query("db.example")

    assert said.hex(" ", 2) == "0007 8182 0001 0000 0000 0000 0264 6200 0001 0001"
    assert messages.is_answer_to(WITH_EDNS, said)
    assert [cut for cut in range(len(asked) + 1) if messages.is_query(asked[:cut])] == [len(asked)]


@table(
    "rcode, expected",
    well=(0, False),
    no_name=(3, False),
    failed=(messages.SERVFAIL, True),
    refused=(messages.REFUSED, True),
)
def test_another_may_know_what_one_fails_at_and_without_records_nothing_is_told(
    rcode: int, expected: bool
) -> None:
    assert messages.is_failure(answer(query(), rcode)) is expected
    assert messages.has_records(answer(query(), rcode)) is (rcode == 0)
    assert not messages.has_records(messages.failure(query(), messages.SERVFAIL))


@given(st.binary(max_size=80), st.binary(max_size=80))
@example(b"", b"")
@example(query()[:12] + b"\x3f", query()[:12] + b"\xff")
def test_no_bytes_make_it_raise(message: bytes, other: bytes) -> None:
    said = messages.failure(message, messages.SERVFAIL)

    assert messages.code(said) == messages.SERVFAIL
    assert len(said) == 12 + len(messages.question(message) or b"")
    assert messages.is_query(message) in (True, False)
    assert messages.is_answer_to(message, other) in (True, False)
    assert messages.is_answer_to(message, message[:2] + other) in (True, False)


@given(NAMES, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 15))
def test_every_name_goes_there_and_back(name: str, number: int, other: int, rcode: int) -> None:
    asked = query(name, number)
    sent = messages.with_identity(asked, other)

    said = messages.with_identity(answer(sent, rcode), number)

    assert messages.is_query(asked)
    assert messages.is_answer_to(asked, said)
    assert messages.is_answer_to(sent, answer(sent, rcode))
    assert messages.identity(said) == number
    assert messages.code(said) == rcode
    assert messages.question(said) == messages.question(asked) == asked[12:]
