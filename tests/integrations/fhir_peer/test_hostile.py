"""Whatever a peer answers: a code and nothing stored, or what is sound and hers alone; never an unhandled error."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.models import Subject
from integrations import upkeep
from integrations.fhir_peer import client, parse, registry, storing, syncing
from integrations.models import Peer, PeerCursor, PeerDelivery, PeerKnown, PeerPerson
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.fhir_peer.conftest import Ticking
from tests.integrations.fhir_peer.moves import link, registered, stored, weight
from tests.integrations.fhir_peer.wire import HERS, KEY, Told, Wire, page


def theirs(id: str = "w-1", **more: Any) -> dict[str, Any]:
    meta = {"versionId": "1", "lastUpdated": "2026-03-01T00:00:00Z"}
    return {**weight(HERS), "id": id, "meta": meta} | more


@pytest.fixture
def peer(family: People, wire: Wire, clock: Ticking, settings: Any) -> Peer:
    settings.DEMO = True
    made = registered(wire.base, KEY, family.clinic, now=clock(), types=("Observation",))
    link(made, family.yuki_subject.pk, HERS, now=clock())
    return made


def sync(peer: Peer, clock: Ticking) -> str:
    """The code of the failure; "" = none."""
    Peer.objects.filter(pk=peer.pk).update(next_at=clock())
    done = syncing.sync(peer.pk, clock=clock, draw=lambda: 0.5)
    peer.refresh_from_db()
    assert peer.claim is None and done == (not peer.problem)
    return peer.problem


OBSERVATIONS = "/fhir/Observation"
DEEP = b'{"resourceType":"Bundle","type":"searchset","entry":' + b"[" * 5000 + b"]" * 5000 + b"}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"), (b"<html>", "not-json"), (b"[]", "not-json"), (b"\xff\xfe", "not-json"), (DEEP, "not-json"),
        (b'{"resourceType":"Bundle","type":"searchset","type":"searchset"}', "not-json"),
        (b'{"resourceType":"Patient"}', "not-a-bundle"), (b'{"resourceType":"Bundle","type":"batch"}', "not-a-bundle"),
        (b'{"resourceType":"Bundle","type":"searchset","entry":{}}', "not-a-bundle"),
        (page(*[{}] * (parse.MOST_ENTRIES + 1)), "not-a-bundle"), (b" " * (client.PAGE_BYTES + 1), "too-large"),
        (page(theirs(), link=[{"relation": "next", "url": 7}]), "not-a-page"),
        (page(theirs(), link=[{"relation": "next", "url": "https://evil.example/fhir/Observation"}]), "other-host"),
        (page(theirs(), link=[{"relation": "next", "url": "http://127.0.0.1:1/fhir/Observation"}]), "other-host"),
        (page(theirs(), link=[{"relation": "next", "url": "file:///etc/passwd"}]), "not-an-address"),
        (page(theirs(), link=[{"relation": "next", "url": "http://[::1"}]), "not-a-page"),
    ],
)  # fmt: skip
def test_a_page_that_is_none(family: People, wire: Wire, peer: Peer, clock: Ticking, body: bytes, code: str) -> None:
    wire.answers[OBSERVATIONS] = (200, {}, body)
    assert sync(peer, clock) == code
    assert not Resource.objects.filter(type="Observation").exists()
    assert not PeerCursor.objects.exists(), "what was not taken is asked for again"


def test_pages_in_a_circle_end(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    turns = {"relation": "next", "url": f"{wire.base}/Observation?page=2"}
    wire.answers[OBSERVATIONS] = (200, {}, page(theirs(), link=[turns]))
    assert sync(peer, clock) == "pages-without-end"
    assert len([a for a in wire.asked if OBSERVATIONS in a]) == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [((302, {"Location": "https://evil.example/"}, b""), "redirected"), ((500, {}, b""), "status-500"),
     ((404, {}, b""), "status-404"), ((401, {}, b""), "unauthorized"),
     ((429, {"Retry-After": "7200"}, b""), "status-429"),
     ((503, {"Retry-After": "x"}, b""), "status-503")],
)  # fmt: skip
def test_an_answer_that_is_no_page(
    family: People, wire: Wire, peer: Peer, clock: Ticking, answer: Told, code: str
) -> None:
    wire.answers[OBSERVATIONS] = answer
    assert sync(peer, clock) == code
    waits = peer.next_at - clock()
    assert waits > (timedelta(seconds=7100) if code == "status-429" else timedelta(seconds=15))
    assert peer.failures == 1
    sync(peer, clock)
    assert peer.failures == 2
    wire.answers.clear()
    assert sync(peer, clock) == "" and peer.failures == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"no", "not-json"), (b"{}", "token-unusable"),
     (b'{"access_token":"a b","token_type":"bearer"}', "token-unusable"),
     (b'{"access_token":"t\\r\\nX: y","token_type":"bearer","expires_in":300}', "token-unusable"),
     (b'{"access_token":"t","token_type":"mac","expires_in":300}', "token-unusable"),
     (b'{"access_token":"t","token_type":"bearer","expires_in":"soon"}', "token-unusable")],
)  # fmt: skip
def test_a_token_that_is_none(family: People, wire: Wire, peer: Peer, clock: Ticking, body: bytes, code: str) -> None:
    wire.answers["/oauth/token"] = (200, {}, body)
    assert sync(peer, clock) == code
    assert not [a for a in wire.asked if OBSERVATIONS in a]


def other(name: str) -> dict[str, Any]:
    return {"reference": f"Patient/{name}"}


def refused(family: People) -> dict[str, dict[str, Any]]:
    """Resources nobody may slip in, by the code they are refused with."""
    ren, own = str(family.ren.pk), registry.own_base()
    return {
        "other-person": theirs("a", subject=other("p-2")),
        "other-person ": theirs("b", subject=other(ren)),
        "other-person  ": theirs("c", subject={"reference": f"{own}/Patient/{ren}"}),
        "other-person   ": theirs("d", performer=[other("p-2"), other("p-3")]),
        "other-person    ": theirs("e", focus=[{"reference": f"{own}/Patient/{ren}"}]),
        "other-person     ": theirs("f", contained=[{"resourceType": "Observation", "id": "x", "status": "final",
                                                     "code": {"text": "x"}, "subject": other("p-2")}]),
        "other-person      ": theirs("g", subject={"display": "somebody"}),
        "not-sound": theirs("h", status="perhaps"),
        "not-sound ": theirs("i", subject=[other(HERS)]),
        "not-sound  ": theirs("j", valueQuantity={"value": "much"}),
        "not-sound   ": theirs("k", extension=[{"url": "x"}] * 3 + [7]),
    }  # fmt: skip


def test_what_is_not_hers_or_not_sound_is_refused_one_by_one(
    family: People, wire: Wire, peer: Peer, clock: Ticking
) -> None:
    bad = refused(family)
    wire.answers[OBSERVATIONS] = (200, {}, page(theirs("good"), *bad.values(), 7, None, {"resourceType": "Patient"},
                                                theirs("../../x"), theirs("n", resourceType="Encounter")))  # fmt: skip
    before = set(Resource.objects.exclude(type__in=["Observation", "Provenance"]).values_list("pk", flat=True))
    assert sync(peer, clock) == ""
    [kept] = stored(family.yuki_subject.pk, "Observation")
    assert kept["meta"]["source"].endswith("/Observation/good")
    codes = dict(PeerKnown.objects.exclude(theirs="good").values_list("theirs", "problem"))
    assert codes == {one["id"]: code.strip() for code, one in bad.items()}
    assert set(Resource.objects.exclude(type__in=["Observation", "Provenance"]).values_list("pk", flat=True)) == before
    for child in (family.ren, family.hana):
        assert not Resource.objects.filter(subject_id=child.pk, type="Observation").exists()


def test_what_is_not_consented_by_category_stays_out(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    Peer.objects.update(categories=1 << 8)  # IMMUNIZATION
    wire.answers[OBSERVATIONS] = (200, {}, page(theirs()))
    assert sync(peer, clock) == ""
    assert PeerKnown.objects.get().problem == "category" and not stored(family.yuki_subject.pk, "Observation")


def test_a_clock_of_theirs_that_runs_ahead_hides_nothing(
    family: People, wire: Wire, peer: Peer, clock: Ticking
) -> None:
    ahead = theirs("ahead", meta={"versionId": "1", "lastUpdated": "2099-01-01T00:00:00Z"})
    wire.answers[OBSERVATIONS] = (200, {}, page(ahead))
    assert sync(peer, clock) == ""
    assert PeerCursor.objects.get().since <= clock()
    late = theirs("late", meta={"versionId": "1", "lastUpdated": clock().isoformat()})
    wire.answers[OBSERVATIONS] = (200, {}, page(ahead, late))
    assert sync(peer, clock) == ""
    assert len(stored(family.yuki_subject.pk, "Observation")) == 2


def test_versions_that_begin_again_after_a_restore_there(
    family: People, wire: Wire, peer: Peer, clock: Ticking
) -> None:
    def said(version: str, at: str, value: float) -> None:
        one = theirs(meta={"versionId": version, "lastUpdated": at}, valueQuantity={"value": value, "unit": "kg"})
        wire.answers[OBSERVATIONS] = (200, {}, page(one))
        assert sync(peer, clock) == ""

    said("3", "2026-03-03T00:00:00Z", 53)
    said("2", "2026-03-02T00:00:00Z", 52)  # an older copy: nothing
    [here] = stored(family.yuki_subject.pk, "Observation")
    assert here["valueQuantity"]["value"] == 53
    said("3", "2026-03-09T00:00:00Z", 54)  # the same number, said later: it is another version
    [here] = stored(family.yuki_subject.pk, "Observation")
    assert (here["valueQuantity"]["value"], here["meta"]["versionId"]) == (54, "2")


def test_gone_is_entered_in_error_and_hidden_is_not(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    wire.answers[OBSERVATIONS] = (200, {}, page(theirs("w-1"), theirs("w-2"), theirs("w-3")))
    assert sync(peer, clock) == ""
    moved = json.dumps(theirs("w-3", subject=other("p-2"))).encode()
    wire.answers = {
        f"{OBSERVATIONS}/w-1": (410, {}, b""), f"{OBSERVATIONS}/w-2": (404, {}, b""),
        f"{OBSERVATIONS}/w-3": (200, {}, moved), OBSERVATIONS: (200, {}, page()),
    }  # fmt: skip
    clock.ahead = timedelta(hours=7)
    assert sync(peer, clock) == ""
    found = {o["meta"]["source"][-3:]: o["status"] for o in stored(family.yuki_subject.pk, "Observation")}
    assert found == {"w-1": "entered-in-error", "w-2": "final", "w-3": "entered-in-error"}


def test_nothing_comes_for_who_is_not_linked_any_more(
    family: People, wire: Wire, peer: Peer, clock: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = client.get

    def ended_meanwhile(*args: Any, **options: Any) -> Any:
        answer = ask(*args, **options)
        registry.numbers(peer).update(until=clock())
        return answer

    wire.answers[OBSERVATIONS] = (200, {}, page(theirs()))
    monkeypatch.setattr(client, "get", ended_meanwhile)
    assert sync(peer, clock) == ""
    assert wire.asked and not stored(family.yuki_subject.pk, "Observation")
    wire.asked.clear()
    assert sync(peer, clock) == ""
    assert not wire.asked, "nobody asks about her any more"


def test_nothing_comes_for_a_record_that_is_closed(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    Subject.objects.filter(pk=family.yuki_subject.pk).update(state="locked")
    wire.answers[OBSERVATIONS] = (200, {}, page(theirs()))
    assert sync(peer, clock) == ""
    assert not wire.asked and not stored(family.yuki_subject.pk, "Observation")


def test_with_the_record_goes_what_we_know_of_it_there(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    wire.answers[OBSERVATIONS] = (200, {}, page(theirs()))
    assert sync(peer, clock) == ""
    PeerDelivery.objects.create(
        peer=peer, subject=family.yuki_subject, type="Observation", ours="x", wanted=1, next_at=clock()
    )
    Subject.objects.filter(pk=family.yuki_subject.pk).update(state="erased")
    upkeep.forget(family.yuki_subject.pk, now=clock())
    for model in (PeerDelivery, PeerPerson, PeerCursor, PeerKnown):
        assert not model.objects.exists(), model
    assert sync(peer, clock) == ""


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(
    ["Patient/p-1", "Patient/p-2", "Observation/w-1", "final", "2026-03-01", "#x", "urn:uuid:x", "../x", "http://x"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["reference", "subject", "identifier", "meta", "id", "url", "tag", "system", "value", "extension"]
)  # fmt: skip
TREES = st.recursive(
    LEAVES, lambda kids: st.lists(kids, max_size=3) | st.dictionaries(NAMES, kids, max_size=3), max_leaves=8
)
FIELDS = st.dictionaries(
    st.sampled_from(["id", "meta", "status", "code", "subject", "performer", "contained", "identifier", "text", "focus",
                     "component", "note", "extension", "valueQuantity", "resourceType", "implicitRules"]),
    TREES, max_size=4,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(FIELDS, min_size=1, max_size=4))
def test_anything_in_a_resource(family: People, peer: Peer, clock: Ticking, changes: list[dict[str, Any]]) -> None:
    """Nothing raises, and whatever is stored is of the linked person alone."""
    [linked] = registry.persons(peer)
    storing.take(peer, linked, "Observation", [theirs(f"x{n}") | c for n, c in enumerate(changes)], clock=clock)
    found = Resource.objects.filter(type="Observation")
    assert not found.exclude(subject_id=family.yuki_subject.pk).exists()
    assert not found.exclude(subject2=None).exists()


READERS = (
    parse.json, lambda b: parse.searchset(b, at="https://peer.example/x"), lambda b: parse.responses(b, count=1),
)  # fmt: skip


@settings(max_examples=300)
@given(text=st.binary(max_size=60) | TREES.map(lambda t: json.dumps(t).encode()), read=st.sampled_from(READERS))
def test_any_bytes_are_values_or_unusable(text: bytes, read: Callable[[bytes], object]) -> None:
    try:
        read(text)
    except parse.Unusable:
        return


@settings(max_examples=200)
@given(entries=st.lists(TREES, max_size=3), links=TREES)
def test_any_bundle_is_a_page_or_unusable(entries: list[Any], links: Any) -> None:
    body = json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries, "link": [links]}).encode()
    try:
        found = parse.searchset(body, at="https://peer.example/x")
    except parse.Unusable:
        return
    assert all(isinstance(one, dict) for one in found.entries)
