"""One dispensing that several channels told of is shown once; merges are undone and redone; the notebook goes out."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import datetime

import pytest

from consent.decide import Caller
from consent.models import AuditEntry, Organization, Subject
from consent.scope import Door
from integrations import dispensed, feeding, notebook, resolving, taking, upkeep
from integrations.dispensed import Entry, Source, entries
from integrations.feeding import Outcome
from integrations.incoming import Part
from integrations.items import Item, Piece
from integrations.jahis_qr import symbols
from integrations.models import KeptApart, LocalNumber
from integrations.receipts import connector as receipts
from phr.fhir.operations.summary import made as summary_of
from phr.records.dispensing import Said
from phr.records.gateway import NotFound, Records
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.conftest import clinic
from tests.integrations.jahis_qr.samples import notebook as book
from tests.integrations.jahis_qr.samples import sample
from tests.integrations.jahis_qr.test_write import scanned
from tests.integrations.moves import hanas, imported, kinds, table_sizes
from tests.integrations.receipts.samples import HO, IR, RE, RX, YK, lines

QR = (
    "5,20260112,1", "11,見本薬局,13,4,9999991,,,,1", "201,1,見本錠,1,錠,2,620099999,1", "301,1,分１,28,日分,1,1,,1",
    "201,2,見本散,1.5,ｇ,4,2330001B1020,1", "301,2,分１,28,日分,1,1,,1",
)  # fmt: skip
CLAIM = (
    YK, RX, HO, "SH,01,1,006,,2", "CZ,1,20260112,20260112,1,28", "IY,1,620099999,1", "SH,02,5,900",
    "CZ,1,20260112,20260112,1,1", "IY,1,620008965,5",
)  # fmt: skip


@pytest.fixture
def pharmacy(family: People) -> Organization:
    return Organization.objects.create(code="1349999991", name="見本薬局", kind="pharmacy")


def claimed(data: bytes, office: Organization, family: People, now: datetime) -> Outcome:
    """Bring in receipts of an office that knows Hana by the number they give her."""
    data = data.replace(b"19750401", b"20180601")
    by = taking.caller_for(office, client="rezept")
    [item] = [i for i in receipts.items([Piece("x", io.BytesIO(data))], profile="", code=office.code) if i]
    assert isinstance(item, Item)
    digest = resolving.digest_of(item.identity.system, item.identity.value)
    wanted = {digest: (item.identity, family.hana.pk)}
    resolving.make(Records.opened_by(by, now=now), wanted, now=now, ground=LocalNumber.Ground.DESK)
    return feeding.deposit(receipts, [Piece("x", io.BytesIO(data))], organization=office, by=by, now=now)


def seen(family: People, by: Caller, now: datetime) -> list[Entry]:
    return dispensed.merged(Records.opened_by(by, now=now), family.hana.pk)[0]


def test_two_channels_tell_of_one_dispensing(
    family: People, mother: Caller, pharmacy: Organization, now: datetime
) -> None:
    imported(hanas(book(*QR)), by=mother, subject=family.hana.pk, now=now)
    claimed(lines(*CLAIM), pharmacy, family, now)
    assert kinds(family.hana.pk)["MedicationDispense"] == 4
    found = seen(family, mother, now)
    assert sorted(len(entry.sources) for entry in found) == [1, 1, 2]
    [both] = [entry for entry in found if len(entry.sources) == 2]
    assert [source.claim for source in both.sources] == [False, True], "the notebook's words come first"
    assert not both.loose, "the same exact key"


def test_a_merge_is_undone_and_redone_and_the_log_says_so(
    family: People, mother: Caller, pharmacy: Organization, now: datetime
) -> None:
    imported(hanas(book(*QR[:4])), by=mother, subject=family.hana.pk, now=now)
    claimed(lines(*CLAIM[:6]), pharmacy, family, now)
    [both] = seen(family, mother, now)
    records, second = Records.opened_by(mother, now=now), both.sources[1].reference
    for _ in range(2):
        dispensed.separate(records, second, subject=family.hana.pk, by=mother, now=now)
        assert [len(entry.sources) for entry in seen(family, mother, now)] == [1, 1]
    dispensed.join(records, second, subject=family.hana.pk, by=mother, now=now)
    assert [len(entry.sources) for entry in seen(family, mother, now)] == [2]
    told = AuditEntry.objects.filter(event__startswith="dispense:").order_by("pk").values_list("event", flat=True)
    assert list(told) == ["dispense:separated", "dispense:joined"]


def test_what_was_undone_goes_with_an_erased_person(family: People, mother: Caller, now: datetime) -> None:
    imported(hanas(book(*QR)), by=mother, subject=family.hana.pk, now=now)
    own = Resource.objects.filter(type="MedicationDispense")[0]
    records, name = Records.opened_by(mother, now=now), f"MedicationDispense/{own.fhir_id}"
    dispensed.separate(records, name, subject=family.hana.pk, by=mother, now=now)
    upkeep.sweep(now=now)
    assert KeptApart.objects.count() == 1
    Subject.objects.filter(pk=family.hana.pk).update(state=Subject.State.ERASED)
    upkeep.sweep(now=now)
    assert not KeptApart.objects.exists()


def test_a_summary_tells_a_dispensing_once_in_the_words_of_the_pharmacy(
    family: People, mother: Caller, pharmacy: Organization, now: datetime
) -> None:
    imported(hanas(book(*QR[:4])), by=mother, subject=family.hana.pk, now=now)
    claimed(lines(*CLAIM[:6]), pharmacy, family, now)
    told = json.loads(summary_of(Records.opened_by(mother, now=now), family.hana.pk))
    found = [e["resource"] for e in told["entry"] if e["resource"]["resourceType"] == "MedicationDispense"]
    assert [one["medicationCodeableConcept"]["text"] for one in found] == ["見本錠"]


def test_only_what_one_sees_of_this_person_is_separated(family: People, mother: Caller, now: datetime) -> None:
    imported(hanas(book(*QR)), by=mother, subject=family.hana.pk, now=now)
    own = Resource.objects.filter(type="MedicationDispense")[0]
    records = Records.opened_by(mother, now=now)
    for reference in ("MedicationDispense/none", f"Patient/{family.hana.pk}", "x"):
        with pytest.raises(NotFound):
            dispensed.separate(records, reference, subject=family.hana.pk, by=mother, now=now)
    with pytest.raises(NotFound):
        dispensed.separate(
            records, f"MedicationDispense/{own.fhir_id}", subject=family.ren.pk, by=mother, now=now
        )  # fmt: skip


# Which are one: pure


SAID = Said("2026-01-12", 28, frozenset({("name", "見本錠")}))


class Told:
    """A Source as far as grouping looks."""

    def __init__(
        self, name: str, exact: str, loose: set[str], teller: object, *, claim: bool = False, said: Said | None = None,
        at: int = 0,
    ) -> None:  # fmt: skip
        self.reference, self.teller, self.claim, self._keys = name, teller, claim, ({exact}, loose)
        self.rank, self.said = (claim, at), said or SAID

    def keys(self, system: str) -> set[str]:
        return self._keys["loose" in system]


def grouped(*told: Told, apart: set[str] = frozenset()) -> list[list[str]]:  # type: ignore[assignment]
    sources: list[Source] = list(told)  # type: ignore[arg-type]
    return [[source.reference for source in entry.sources] for entry in entries(sources, apart)]


def test_the_same_teller_does_not_tell_of_one_dispensing_twice() -> None:
    morning, evening = Told("m", "1", {"k"}, "family"), Told("e", "2", {"k"}, "family")
    claims = Told("c", "3", {"k"}, "pharmacy", claim=True), Told("d", "4", {"k"}, "pharmacy", claim=True)
    assert grouped(morning, evening, *claims) == [["m", "c"], ["e", "d"]]


def test_an_exact_key_binds_whoever_tells() -> None:
    assert grouped(Told("a", "1", set(), "x"), Told("b", "1", set(), "x")) == [["a", "b"]]


@pytest.mark.parametrize("wrong", [{"day": "2026-01-13"}, {"amount": 14}, {"drugs": frozenset({("name", "偽")})}])
def test_no_key_binds_what_does_not_agree(wrong: dict[str, object]) -> None:
    true, forged = Told("a", "1", {"k"}, "x"), Told("f", "1", {"k"}, "y", said=replace(SAID, **wrong), at=1)  # type: ignore[arg-type]
    assert grouped(forged, true) == [["f"], ["a"]]


def test_where_one_leaves_out_the_amount_it_is_a_proposal() -> None:
    told = [Told("a", "1", set(), "x"), Told("b", "1", set(), "y", said=replace(SAID, amount=None), at=1)]
    [entry] = entries(told, set())  # type: ignore[arg-type]
    assert entry.loose


def test_who_writes_later_never_replaces_what_was_told_first() -> None:
    assert grouped(Told("b", "1", set(), "y", at=1), Told("a", "1", set(), "x")) == [["a", "b"]]
    assert grouped(Told("b", "2", {"k"}, "y", at=1), Told("a", "1", {"k"}, "x")) == [["a", "b"]]


def test_a_forged_key_hides_no_medicine(family: People, mother: Caller, now: datetime) -> None:
    imported(hanas(book(*QR[:4])), by=mother, subject=family.hana.pk, now=now)
    records = Records.opened_by(mother, now=now)
    [true] = seen(family, mother, now)
    copied = {name: true.shown.resource[name] for name in ("subject", "identifier", "whenHandedOver", "quantity")}
    forged = {"resourceType": "MedicationDispense", "status": "completed"} | copied
    records.create(forged | {"medicationCodeableConcept": {"text": "偽の薬"}})
    assert [len(entry.sources) for entry in seen(family, mother, now)] == [1, 1]
    assert "見本錠" in notebook.text_of(records, family.hana.pk)[0].decode("cp932")
    assert "見本錠" in json.dumps(json.loads(summary_of(records, family.hana.pk)), ensure_ascii=False)


def test_what_is_kept_apart_stands_alone_in_its_place() -> None:
    told = Told("a", "1", {"k"}, "x"), Told("b", "2", {"k"}, "y"), Told("c", "3", {"k"}, "z")
    assert grouped(*told) == [["a", "b", "c"]]
    assert grouped(*told, apart={"b"}) == [["a", "c"], ["b"]]


# The notebook


def test_the_notebook_goes_out_and_comes_in_again_without_anything_new(
    family: People, mother: Caller, pharmacy: Organization, now: datetime
) -> None:
    imported(hanas(sample("tc08_full.txt")), by=mother, subject=family.hana.pk, now=now)
    imported(hanas(book(*QR)), by=clinic(family), subject=family.hana.pk, now=now)
    claimed(lines(*CLAIM), pharmacy, family, now)
    text, more = notebook.text_of(Records.opened_by(mother, now=now), family.hana.pk)
    assert not more
    assert text.count(b"\r\n201,") == 5 + 3, "what came in twice is written once"
    before = table_sizes()
    parts = scanned(symbols.symbols(text, split="911"))
    run = imported(*map(Part, parts), by=mother, subject=family.hana.pk, now=now)
    assert (run.state, run.created, run.updated) == ("done", 0, 0)
    assert table_sizes() == before
    assert seen(family, mother, now)


THREE = (
    "201,1,見本錠,1,錠,2,620099999,1", "201,1,見本散,1.5,ｇ,4,2330001B1020,1", "201,1,見本錠,1,錠,2,620099999,1",
    "301,1,分１,28,日分,1,1,,1",
)  # fmt: skip


@pytest.mark.parametrize("pharmacy_line", [QR[1], "11,見本薬局,,,,,,,1"], ids=["loose keys", "none"])
@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_a_notebook_from_which_a_drug_was_hidden_comes_in_again_without_anything_new(
    family: People, mother: Caller, now: datetime, hidden: int, pharmacy_line: str
) -> None:
    """The others move up in their RP, and their exact keys with them."""
    whole = hanas(book(QR[0], pharmacy_line, *THREE))
    assert imported(whole, by=mother, subject=family.hana.pk, now=now).created >= 3
    without = hanas(book(QR[0], pharmacy_line, *(line for n, line in enumerate(THREE, 1) if n != hidden)))
    run = imported(without, by=mother, subject=family.hana.pk, now=now)
    assert (run.state, run.created, kinds(family.hana.pk)["MedicationDispense"]) == ("done", 0, 3)
    more = hanas(book(QR[0], pharmacy_line, *THREE[:3], THREE[0], THREE[3]))
    run = imported(more, by=mother, subject=family.hana.pk, now=now)
    assert kinds(family.hana.pk)["MedicationDispense"] == 4, "a drug more of the same words is a drug more"
    other = hanas(book(QR[0], pharmacy_line, THREE[0].replace(",1,錠", ",2,錠"), THREE[3]))
    imported(other, by=mother, subject=family.hana.pk, now=now)
    assert kinds(family.hana.pk)["MedicationDispense"] == 5, "another dose is another dispensing"


def test_a_notebook_of_many_drugs_is_told_once(family: People, mother: Caller, now: datetime) -> None:
    drugs = [line for n in range(1, 41) for line in (f"201,{n},見本{n},1,錠,1,,1", f"301,{n},分１,7,日分,1,1,,1")]
    data = hanas(book(*QR[:2], *drugs))
    assert imported(data, by=clinic(family), subject=family.hana.pk, now=now).state == "done"
    run = imported(data, by=mother, subject=family.hana.pk, now=now)
    assert (run.state, run.created) == ("done", 0)


def test_what_is_hidden_is_not_written(family: People, mother: Caller, now: datetime) -> None:
    imported(hanas(book(*QR, "401,気をつけて,1")), by=mother, subject=family.hana.pk, now=now)
    drug = next(r for r in Resource.objects.filter(type="MedicationDispense"))
    Records.opened_by(mother, now=now).delete("MedicationDispense", drug.fhir_id)
    text, _ = notebook.text_of(Records.opened_by(mother, now=now), family.hana.pk)
    assert text.count(b"\r\n201,") == 1
    narrow = replace(mother, doors=(Door("Patient", "rs"), Door("MedicationDispense", "rs")))
    text, _ = notebook.text_of(Records.opened_by(narrow, now=now), family.hana.pk)
    assert "気をつけて".encode("cp932") not in text


def test_claims_are_no_part_of_the_notebook(
    family: People, mother: Caller, now: datetime
) -> None:  # fmt: skip
    office = Organization.objects.create(code="1319999992", name="見本医院", kind="clinic")
    assert claimed(lines(IR, RE, HO, "SY,8833422,20251010,1,,見本病"), office, family, now).created == 2
    assert kinds(family.hana.pk) == {"Coverage": 1, "Condition": 1, "Provenance": 1}
    text, _ = notebook.text_of(Records.opened_by(mother, now=now), family.hana.pk)
    assert text.decode("cp932").splitlines() == ["JAHISTC08,2", "1,見本 花子,2,20180601,,,,,,,ミホン ハナコ"]


def test_a_symbol_is_a_picture_of_its_kind() -> None:
    [made] = symbols.symbols(b"JAHISTC08,2\r\n", split="911")
    assert symbols.image(made, "png").startswith(b"\x89PNG")
    assert b"<svg" in symbols.image(made, "svg")
