"""What the forwarder reads in DNS messages, and the failures that it writes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyinfra_gvisor.parts.resolver.forwarder.messages import (
    MOST_QUERY_BYTES,
    REFUSED,
    SERVFAIL,
    code,
    failure,
    has_records,
    identity,
    is_answer_to,
    is_failure,
    is_query,
    question,
    with_identity,
)
from tests.unit.resolver.resolver_fakes import answer, query

WITH_EDNS = query()[:11] + b"\x01" + query()[12:] + bytes.fromhex("00002904d0000000000000")
NAMES = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=63),
    min_size=1,
    max_size=3,
).map(".".join)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(query("db"), True, id="a name of a container"),
        pytest.param(query("a.b.example"), True, id="a name with dots"),
        pytest.param(query("db", kind=28), True, id="IPv6"),
        pytest.param(query("db", flags=0), True, id="no recursion desired"),
        pytest.param(WITH_EDNS, True, id="EDNS behind the question"),
        pytest.param(query()[:12] + b"\0" + b"\0\x02\0\x01", True, id="the root"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(query()[:11], False, id="half a header"),
        pytest.param(query()[:12], False, id="a header alone"),
        pytest.param(query()[:-1], False, id="half a class"),
        pytest.param(query()[:14], False, id="half a name"),
        pytest.param(answer(query()), False, id="an answer"),
        pytest.param(query(flags=0x2900), False, id="a dynamic update"),
        pytest.param(query(flags=0x2000), False, id="a notice"),
        pytest.param(query()[:4] + b"\0\0" + query()[6:], False, id="no question"),
        pytest.param(query()[:4] + b"\0\2" + query()[6:] * 2, False, id="two questions"),
        pytest.param(query()[:12] + b"\xc0\x0c\0\1\0\1", False, id="a name that points at itself"),
        pytest.param(query() + bytes(MOST_QUERY_BYTES), False, id="more than any question has"),
    ],
)
def test_a_query_has_one_question_and_nothing_else_is_one(message: bytes, expected: bool) -> None:
    assert is_query(message) is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(answer(query("db")), True, id="with an address"),
        pytest.param(answer(query("db"), 3), True, id="no such name"),
        pytest.param(answer(query("DB")), True, id="other letters"),
        pytest.param(query()[:2] + b"\x81\x85" + bytes(8), True, id="refused without the question"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(answer(query("db"))[:11], False, id="half a header"),
        pytest.param(query("db"), False, id="the query itself"),
        pytest.param(answer(query("db", number=8)), False, id="another number"),
        pytest.param(answer(query("db2")), False, id="another name"),
        pytest.param(answer(query("db", kind=28)), False, id="another type"),
        pytest.param(
            query()[:2] + b"\x81\x80" + bytes(8), False, id="well, but without the question"
        ),
        pytest.param(answer(query("db"))[:14], False, id="half a question"),
    ],
)
def test_an_answer_is_known_by_number_and_question(message: bytes, expected: bool) -> None:
    assert is_answer_to(query("db"), message) is expected


def test_a_failure_has_number_question_and_flags_of_the_query() -> None:
    said = failure(WITH_EDNS, SERVFAIL)

    assert said.hex(" ", 2) == "0007 8182 0001 0000 0000 0000 0264 6200 0001 0001"
    assert is_answer_to(WITH_EDNS, said)


@pytest.mark.parametrize(
    ("rcode", "expected"),
    [
        pytest.param(0, False, id="well"),
        pytest.param(3, False, id="no such name"),
        pytest.param(SERVFAIL, True, id="failed"),
        pytest.param(REFUSED, True, id="refused"),
    ],
)
def test_another_resolver_may_know_what_one_fails_at(rcode: int, expected: bool) -> None:
    assert is_failure(answer(query(), rcode)) is expected


def test_an_answer_without_records_tells_nothing() -> None:
    assert has_records(answer(query()))
    assert not has_records(answer(query(), 3))
    assert not has_records(failure(query(), SERVFAIL))


@given(st.binary(max_size=80), st.binary(max_size=80))
@example(b"", b"")
@example(query()[:12] + b"\x3f", query()[:12] + b"\xff")
def test_no_bytes_make_it_raise(message: bytes, other: bytes) -> None:
    said = failure(message, SERVFAIL)

    assert code(said) == SERVFAIL
    assert len(said) == 12 + len(question(message) or b"")
    assert is_query(message) in (True, False)
    assert is_answer_to(message, other) in (True, False)
    assert is_answer_to(message, message[:2] + other) in (True, False)


@given(NAMES, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 15))
def test_every_name_goes_there_and_back(name: str, number: int, other: int, rcode: int) -> None:
    asked = query(name, number)
    sent = with_identity(asked, other)

    said = with_identity(answer(sent, rcode), number)

    assert is_query(asked)
    assert is_answer_to(asked, said)
    assert is_answer_to(sent, answer(sent, rcode))
    assert identity(said) == number
    assert code(said) == rcode
    assert question(said) == question(asked) == asked[12:]


@given(NAMES, st.data())
def test_half_a_query_is_none(name: str, data: st.DataObject) -> None:
    asked = query(name)
    cut = data.draw(st.integers(0, len(asked) - 1))

    assert not is_query(asked[:cut])
