"""Receipt files: which kind, whose, what is skipped; damaged ones are read or refused, never anything else."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st

from integrations.items import Item, Piece
from integrations.problems import Problem, Unreadable
from integrations.receipts import connector, rows
from integrations.receipts.rows import amount, when
from phr.records import body, systems
from tests.integrations.jahis_qr.test_parse import mutated
from tests.integrations.receipts.samples import (
    CLINIC,
    HO,
    IR,
    PHARMACY,
    RE,
    RX,
    YK,
    lines,
    mapped,
    read,
    receipts,
    resources,
    sample,
)

FILES = ("RECEIPTC.UKE", "RECEIPTY.CYO", "RECEIPTC_GAIRAI.UKE")


def codes(found: list[Item | Problem]) -> list[str]:
    return [one.code for one in found if isinstance(one, Problem)]


def test_which_file_it_is_follows_from_its_content() -> None:
    forms = [next(receipts(sample(name))).content["form"] for name in FILES]
    assert forms == ["medical", "dispensing", "medical"]


def test_one_item_is_one_receipt() -> None:
    found = list(receipts(sample("RECEIPTC_GAIRAI.UKE")))
    assert len(found) == sample("RECEIPTC_GAIRAI.UKE").count(b"\r\nRE,") == 38
    assert len({item.key for item in found}) == 38
    assert codes(read(sample("RECEIPTC_GAIRAI.UKE"))) == ["total-differs"]


def test_whom_a_medical_receipt_is_about() -> None:
    identity = next(receipts(sample("RECEIPTC.UKE"))).identity
    assert (identity.system, identity.value) == (systems.PATIENT_AT_INSTITUTION + CLINIC, "00001")
    assert (identity.name, identity.kana) == ("見本　花子", "ミホンハナコ")
    assert (identity.birth_date, identity.gender) == ("1975-04-01", "female")


def test_whom_a_pharmacy_receipt_is_about() -> None:
    identity = next(receipts(sample("RECEIPTY.CYO"))).identity
    assert (identity.system, identity.value) == (systems.MEMBER_ID, "06139999:１１１:１２３４５６:01")


def test_public_aid_names_who_has_no_insurer() -> None:
    [item] = receipts(lines(YK, RX, "KO,12130001,1234567"))
    assert item.identity.value == "12130001:1234567"
    [nobody] = receipts(lines(YK, RX))
    assert nobody.identity.value == ""


def test_name_and_birth_date_are_compared_and_not_kept() -> None:
    for name in FILES[:2]:
        content = str(next(receipts(sample(name))).content)
        assert not any(word in content for word in ("花子", "ハナコ", "19750401"))


def test_a_receipt_sent_again_has_the_same_key_wherever_it_stands() -> None:
    [alone] = receipts(lines(IR, RE, HO, "SY,8833422,20251010,1"))
    first, again = receipts(lines(IR, RE.replace("00001", "00002"), HO, "", RE, HO, "SY,8833422,20251010,1"))
    assert again.key == alone.key != first.key
    assert again.content == alone.content
    later = next(receipts(lines(IR.replace("202602", "202603"), RE, HO)))
    assert (later.key, later.said_at > alone.said_at) == (alone.key, True)


def test_two_receipts_of_a_month_are_two() -> None:
    data = lines(YK, RX, HO, RX.replace("9999992", "9999993"), HO, RX, HO)
    assert len({item.key for item in receipts(data)}) == 3


def test_trailing_fields_that_were_cut_are_empty() -> None:
    [item] = receipts(
        lines(YK, RX.rstrip(","), HO.rpartition(",")[0], "SH,01,1", "CZ,1,,20260112,,28", "IY,1,620099999,1")
    )
    [dispense] = [r for r in mapped(item).resources if r["resourceType"] == "MedicationDispense"]
    assert dispense["quantity"]["value"] == 28


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "empty", None), (b"\x1a", "empty", None), (b"JAHISTC08,1\r\n1,x", "not-a-receipt-file", 1),
        (lines(RE, HO), "not-a-receipt-file", 1), (b"IR,1,13\r\n", "other-fee-table", 1),
        (lines(IR.replace("IR,1,13,1", "IR,1,13,3"), RE), "other-fee-table", 1),
        (lines(IR.replace("9999992", "999x992"), RE), "bad-institution", 1),
        (lines(IR, RE, "SY," + "x" * 9000), "line-too-long", 3),
    ],
)  # fmt: skip
def test_what_is_no_receipt_file_is_refused(data: bytes, code: str, line: int | None) -> None:
    with pytest.raises(Unreadable) as refused:
        read(data)
    assert [(p.code, p.line) for p in refused.value.problems] == [(code, line)]


@pytest.mark.parametrize("code", [PHARMACY, "clinic", "9999992", CLINIC + "0", ""])
def test_another_institutions_file_is_refused(code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(sample("RECEIPTC.UKE"), code=code)
    assert refused.value.problems[0].code == "other-institution"
    assert read(sample("RECEIPTC.UKE"), code=CLINIC)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ((IR, "SY,8833422,20251010,1", RE, HO), "no-receipt"), ((IR, RE.replace("202601", "2026xx"), HO), "bad-month"),
        ((IR, RE, "MN,1,2", HO), "unknown-record"), ((IR, RE, HO, "GO,7,1,99"), "total-differs"),
    ],
)  # fmt: skip
def test_what_is_beside_receipts_is_told(told: tuple[str, ...], code: str) -> None:
    assert codes(read(lines(*told))) == [code]


def test_a_receipt_without_end_is_left_out_and_the_next_is_read() -> None:
    found = read(lines(IR, RE, *["SY,8833422,20251010,1"] * 3100, RE.replace("00001", "00002"), HO))
    assert [type(one).__name__ for one in found] == ["Problem", "Item"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("20260112", "2026-01-12"), ("202601", "2026-01"), ("5080112", "2026-01-12"), ("50801", "2026-01"),
        ("3500401", "1975-04-01"), ("4310430", "2019-04-30"), ("1450101", "1912-01-01"), ("20260230", ""), ("", ""),
        ("6080112", ""), ("2026", ""), ("２０２６０１１２", ""), ("20261301", ""),
    ],
)  # fmt: skip
def test_dates(text: str, told: str) -> None:
    assert when(text) == told


def test_amounts() -> None:
    assert [str(amount(text)) for text in ("1.50", "0.00005", "", "-1", "1e5", "１")] == [
        "1.50", "0.00005", "None", "None", "None", "None",
    ]  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_lines_do_not_hang_on_where_the_bytes_are_cut(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sample("RECEIPTY.CYO").replace(b"\r\n", b"\r", 3) + b"\x1a"
    whole = list(rows.rows_of(io.BytesIO(data)))
    monkeypatch.setattr(rows, "CHUNK", chunk)
    assert list(rows.rows_of(io.BytesIO(data))) == whole


def test_ends_of_lines_alone_take_no_time_of_their_own() -> None:
    class Counted(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            return super().read(size)

    stream = Counted(b"IR,1\n" + b"\r" * (8 * rows.CHUNK) + b"\nRE,1")
    assert [row.line for row in rows.rows_of(stream) if isinstance(row, rows.Row)] == [1, 8 * rows.CHUNK + 2]
    assert stream.reads < 12, "never byte by byte"


def test_a_file_saved_as_utf8_reads_the_same() -> None:
    told = sample("RECEIPTY.CYO")
    assert resources(told.decode("cp932").encode()) == resources(told)
    assert resources(b"\xef\xbb\xbf" + told.decode("cp932").encode()) == resources(told)


MUTATIONS = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 2000), st.just(0)),
    st.tuples(st.just("flip"), st.integers(0, 2000), st.integers(1, 255)),
    st.tuples(st.just("double"), st.integers(0, 2000), st.integers(1, 400)),
    st.tuples(st.just("drop"), st.integers(0, 2000), st.integers(1, 400)),
    st.tuples(st.just("recode"), st.sampled_from([0, 1, 2]), st.just(0)),
)


def survive(data: bytes) -> None:
    """Read and map it all; whatever comes of it is sound, and each thing is there once."""
    with suppress(Unreadable):
        for item in receipts(data):
            body.write(dict(item.content))
            found = mapped(item).resources
            assert len({(r["resourceType"], r["id"]) for r in found}) == len(found)
            for resource in found:
                get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("name", FILES[:2])
@given(steps=st.lists(MUTATIONS, min_size=1, max_size=5))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(name: str, steps: list[tuple[str, int, int]]) -> None:
    data = sample(name)
    for kind, at, by in steps:
        data = mutated(data, kind, at, by)
    survive(data)


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_header(noise: bytes) -> None:
    for start in (b"", lines(IR), lines(IR, RE), lines(YK, RX, "SH,01,1,006", "CZ,1,20260112,20260112,1,28")):
        survive(start + noise)


class Endless(io.RawIOBase):
    """A file of so many receipts, made while it is read."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._held, self._parts = b"", self._made(count)

    @staticmethod
    def _made(count: int) -> Iterator[bytes]:
        yield lines(IR)
        for n in range(count):
            yield lines(RE.replace("00001", f"{n:06}"), HO, *["SY,8833422,20251010,1"] * 20)

    def read(self, size: int = -1) -> bytes:
        while len(self._held) < size and (more := next(self._parts, b"")):
            self._held += more
        told, self._held = self._held[:size], self._held[size:]
        return told


@pytest.mark.long
def test_a_large_file_is_read_in_flat_memory() -> None:
    tracemalloc.start()
    try:
        peaks = []
        for count in (500, 8_000):
            tracemalloc.reset_peak()
            stream = connector.items([Piece("x", Endless(count))], profile="", code=CLINIC)  # type: ignore[arg-type]
            assert sum(1 for _ in stream) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200 * 8_000, peaks  # what tells receipts apart: some bytes of each
