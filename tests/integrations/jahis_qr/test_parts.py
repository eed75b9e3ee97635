"""Symbols to one run of bytes: three ways of splitting, incomplete sets, contradictions."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.incoming import Part
from integrations.jahis_qr.parse import parse
from integrations.jahis_qr.parts import join, set_of
from integrations.problems import Unreadable
from tests.integrations.jahis_qr.samples import DRUG, GROUP, PEER, notebook, sample

FULL = sample("tc08_full.txt")
LINES = FULL.rstrip(b"\x1a")
PIECES = [sample(f"structured_append_{n}of3.bin") for n in (1, 2, 3)]


def split911(kind: str) -> list[Part]:
    return [Part(sample(f"{kind}_part{n}of3.txt")) for n in (1, 2, 3)]


def refusal(parts: list[Part]) -> str:
    with pytest.raises(Unreadable) as caught:
        join(parts)
    return caught.value.problems[0].code


@pytest.mark.parametrize("kind", ["split911", "split911_repeat"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0, 1)])
@pytest.mark.spec("JAHIS 電子版お薬手帳 2.6", "911", "parts are joined by データ連番, repeated context is dropped")
def test_both_ways_by_911_give_the_whole(kind: str, order: tuple[int, ...]) -> None:
    parts = split911(kind)
    joined = join([parts[n] for n in order])
    assert joined.data == LINES
    assert joined.missing == ()


def test_a_line_of_the_whole_is_found_again_in_its_part() -> None:
    joined = join(split911("split911_repeat"))
    line = LINES.splitlines().index("501,次回は薬手帳をお持ちください。,1".encode("cp932"))
    part, at = joined.origins[line]
    assert sample(f"split911_repeat_part{part}of3.txt").splitlines()[at - 1].startswith(b"501,")


def test_a_lone_part_is_kept_and_says_what_is_missing() -> None:
    joined = join([Part((PEER / "tc-split-output-part-2.txt").read_bytes())])
    assert (joined.data, joined.missing, joined.set_id) == (None, (1, 3), "911:12345678901234:3")


def test_the_same_pharmacy_on_another_day_keeps_its_context() -> None:
    head, tail = ["5,20260112,1", *GROUP[1:], *DRUG], ["5,20251201,1", *GROUP[1:], *DRUG]
    parts = [Part(notebook(*head, "911,20260101000000,2,1")), Part(notebook(*tail, "911,20260101000000,2,2"))]
    joined = parse(join(parts).data or b"")
    assert [g.first("11") is not None for g in joined.groups] == [True, True]


def test_another_pharmacy_on_the_same_day_is_another_dispensing() -> None:
    other = [GROUP[0], GROUP[1].replace("9999991", "9999993"), *DRUG]
    parts = [Part(notebook(*GROUP, *DRUG, "911,2,2,1")), Part(notebook(*other, "911,2,2,2"))]
    assert len(parse(join(parts).data or b"").groups) == 2


def test_a_cut_between_the_date_and_the_pharmacy_keeps_the_pharmacy() -> None:
    first = notebook(*GROUP, *DRUG, "5,20251201,1", "911,2,2,1")
    second = "\r\n".join(["JAHISTC08,1", GROUP[1], *DRUG, "911,2,2,2"]).encode("cp932")
    assert parse(join([Part(first), Part(second)]).data or b"").groups[1].first("11") is not None


@pytest.mark.spec("ISO/IEC 18004", "8", "the bytes of Structured Append symbols are joined in sequence, then decoded")
def test_structured_append_by_index() -> None:
    parts = [Part(data, index, 3, "7") for index, data in enumerate(PIECES)]
    assert join(parts[::-1]).data == FULL
    assert join(parts[1:]).missing == (1,)
    assert join(parts[:1]).data is None


def test_what_the_parts_of_a_set_share() -> None:
    assert {set_of([part]) for part in split911("split911")} == {"911:20260112120000:3"}
    assert set_of([Part(PIECES[1], 1, 3, "7")]) == set_of([Part(PIECES[2], 2, 3, "7")]) == "sa:7:3"
    assert set_of([Part(PIECES[1], 1, 3)]) == set_of([Part(FULL)]) == set_of([Part(b"")]) == set_of([]) == ""


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_structured_append_without_index_finds_the_one_order(order: tuple[int, ...]) -> None:
    assert join([Part(PIECES[n]) for n in order]).data == FULL


def test_an_order_that_cannot_be_told_asks_for_another_scan() -> None:
    whole = notebook(*GROUP, *DRUG, "501,A,1", "501,B,1")
    cut = [whole.index(b"501,A"), whole.index(b"501,B")]
    parts = [Part(whole[: cut[0]]), Part(whole[cut[0] : cut[1]]), Part(whole[cut[1] :])]
    assert refusal(parts) == "order-unknown"
    assert refusal([Part(PIECES[1]), Part(PIECES[2])]) == "order-unknown"
    assert refusal([Part(PIECES[0]), *[Part(b"4,%d,,1\r\n" % n) for n in range(8)]]) == "order-unknown"
    assert refusal([Part(PIECES[0]), *[Part(b"%d" % n) for n in range(20)]]) == "order-unknown"


def joined_or_none(parts: list[Part]) -> bytes | None:
    try:
        return join(parts).data
    except Unreadable:
        return None


@pytest.mark.parametrize(("count", "known"), [(3, 10), (4, 6), (6, 1)])
def test_without_index_it_is_the_right_order_or_another_scan(count: int, known: int) -> None:
    found = []
    for seed in range(10):
        rng = random.Random(seed)
        cuts = sorted(rng.sample(range(100, len(FULL) - 50), count - 1))
        parts = [Part(FULL[a:b]) for a, b in zip([0, *cuts], [*cuts, len(FULL)], strict=True)]
        rng.shuffle(parts)
        found.append(joined_or_none(parts))
    assert {whole for whole in found if whole is not None} == {FULL}, "never a wrong one"
    assert found.count(FULL) >= known


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "no-parts"),
        ([Part(b"x")] * 100, "too-many-parts"),
        ([Part(b"x" * 600_000, 0, 2), Part(b"x" * 600_000, 1, 2)], "too-large"),
        ([*split911("split911")[:2], Part(PIECES[0])], "mixed-parts"),
        ([*split911("split911")[:2], split911("split911_repeat")[2]], "mixed-parts"),
        ([Part(PIECES[0], 0, 3, "a"), Part(PIECES[1], 1, 3, "b")], "mixed-parts"),
        ([Part(PIECES[0], 0, 3), Part(PIECES[1], 0, 3)], "part-conflict"),
        ([Part(PIECES[0], 5, 3)], "bad-index"),
        ([Part(PIECES[0], -1, 3)], "bad-index"),
        ([Part(PIECES[0], 0, 3), Part(PIECES[1])], "bad-index"),
        ([Part(notebook(*GROUP, *DRUG, "911,1,2,3"))], "bad-split"),
        ([Part(notebook(*GROUP, *DRUG, "911,1,x,1"))], "bad-split"),
    ],
)
def test_contradictions_are_refused(parts: list[Part], code: str) -> None:
    assert refusal(parts) == code


def test_another_patient_in_a_later_part_is_refused() -> None:
    other = notebook(*GROUP, *DRUG, "911,2,2,2").replace("花子".encode("cp932"), "太郎".encode("cp932"))
    assert refusal([Part(notebook(*GROUP, *DRUG, "911,2,2,1")), Part(other)]) == "mixed-parts"


@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_cut_anywhere_and_shuffled_it_is_whole_again(count: int, rng: random.Random) -> None:
    cuts = sorted(rng.sample(range(1, len(FULL)), count))
    pieces = [FULL[a:b] for a, b in zip([0, *cuts], [*cuts, len(FULL)], strict=True)]
    parts = [Part(piece, index, len(pieces), "9") for index, piece in enumerate(pieces)]
    rng.shuffle(parts)
    assert join(parts).data == FULL


COUNTS = st.none() | st.integers(-1, 4)


@given(st.lists(st.builds(Part, st.binary(max_size=60), COUNTS, COUNTS)))
def test_any_parts_are_joined_or_refused(parts: list[Part]) -> None:
    with suppress(Unreadable):
        join(parts)
