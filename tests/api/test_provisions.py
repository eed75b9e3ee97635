"""A provision from the request of a recipient's system to the person's history, over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import audit, grants, overdue, programs, recipients
from consent.models import AuditEntry, Grant, Person, Program, Provision, Recipient, Subject
from consent.scope import Clause
from phr.populate.cast import HANA, YUKI
from phr.smart import launches
from phr.smart.models import AccessToken, Application
from tests.family import OTSU, App, Neighbourhood, encoded, pressure, secret, weight
from tests.institution import Trust

JSON = "application/json"
SYSTEM_SCOPES = "trust.read trust.write"


def system(recipient: Recipient, *, purpose: str = "HRESCH", scope: str = SYSTEM_SCOPES) -> App:
    """The app of an organisation's own system, by a launch row."""
    organization, now = recipient.organization, timezone.now()
    application, _ = Application.objects.get_or_create(
        client_id=f"system-{organization.code}",
        defaults={
            "name": organization.name, "client_type": "confidential", "organization": organization,
            "authorization_grant_type": "client-credentials", "system_scopes": f"system/*.rs {SYSTEM_SCOPES}",
            "token_endpoint_auth_method": "private_key_jwt", "client_secret": "never used, never blank",
        },
    )  # fmt: skip
    launch = launches.begin_system(application=application, purpose=purpose, scope=scope, now=now)
    token = f"test-token-{launch.pk}"
    AccessToken.objects.create(token=token, application=application, scope=scope, expires=launch.ends_at, launch=launch)
    return App(token)


@dataclass
class World:
    trust: Trust
    to: Recipient
    program: Program
    app: App
    yuki: Person
    subject: Subject
    grant: Grant

    def ask(self, **more: Any) -> Any:
        told = {
            "reference": f"r-{timezone.now().timestamp()}", "program": str(self.program.pk), "purpose": "HRESCH",
            "categories": ["GROWTH"], "level": 2, "until": (timezone.now() + timedelta(days=30)).isoformat(),
        }  # fmt: skip
        return self.app.ask("POST", "/api/trust/recipient/requests", encoded(told | more), type=JSON)

    def handed(self, **more: Any) -> list[str]:
        asked = self.ask(**more)
        assert asked.status == 201, asked
        page = self.app.ask("GET", f"/api/trust/recipient/requests/{asked.json['id']}/provisions")
        assert page.status == 200, page
        return [one["id"] for one in page.json["provisions"]]

    def fetch(self, id: str, query: str = "") -> Any:
        return self.app.ask("GET", f"/api/trust/recipient/provisions/{id}{query}")


@pytest.fixture
def world(family: Neighbourhood, institution: Trust) -> World:
    to = institution.recipient()
    program = institution.program(to)
    yuki = Person.objects.get(username="yuki")
    subject = Subject.objects.get(pk=YUKI)
    institution.entrusted(subject, yuki)
    grant = institution.given(subject, yuki, f"org:{to.organization_id}")
    for one in (weight(), weight(value="53.1", on="2026-03-02T09:00:00+09:00"), pressure(), secret()):
        family.mother.made(one)
    return World(institution, to, program, system(to), yuki, subject, grant)


@pytest.mark.IT("07", "10", "21")
def test_from_the_request_to_the_history(family: Neighbourhood, world: World) -> None:
    [id] = world.handed()
    told = world.fetch(id)
    assert told.status == 200, told
    bundle = told.json
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    # Minimised: growth only; no blood pressure, no Patient, nothing restricted.
    codes = [e["resource"]["code"]["coding"][0]["code"] for e in bundle["entry"]]
    assert codes == ["29463-7", "29463-7"]
    for whole in (bundle, *(e["resource"] for e in bundle["entry"])):
        assert {label["code"] for label in whole["meta"]["security"]} == {"NORDSCLCD", "DELAU"}
    [terms] = [link["url"] for link in bundle["link"] if link["relation"] == "terms-of-service"]
    assert family.anonymous.ask("GET", terms).json["text"] == "第一版"
    assert told.headers["Link"] == f'<{terms}>; rel="terms-of-service"'
    # The person sees it at once.
    history = family.mother.ask("GET", f"/api/trust/records/{YUKI}/provisions").json
    [line] = history["provisions"]
    assert history["reconciled"] is True
    assert (line["recipient"], line["purpose"], line["categories"]) == ("学校法人 例示大学", "HRESCH", ["GROWTH"])
    assert (line["consent"], line["consent_version"], line["state"]) == (world.grant.pk, 1, "delivered")
    assert line["judgement"]["permits"] is True and line["benefit_ja"] and line["delivered_at"]
    assert line["items"] == [f"Observation/{e['resource']['id']}/_history/1" for e in bundle["entry"]]
    ledger = family.mother.ask("GET", f"/api/trust/records/{YUKI}/benefits").json
    assert (ledger["provided"], ledger["none_yet"]) == (1, 1)
    given = {"program": str(world.program.pk), "kind": "study-result", "text_ja": "結果", "text_en": "result"}
    assert world.app.ask("POST", "/api/trust/recipient/benefits", encoded(given), type=JSON).status == 204
    ledger = family.mother.ask("GET", f"/api/trust/records/{YUKI}/benefits").json
    assert (ledger["none_yet"], ledger["lines"][0]["benefits"][0]["text_en"]) == (0, "result")


@pytest.mark.IT("51")
def test_the_sums_of_the_page_are_those_of_its_lines(family: Neighbourhood, world: World) -> None:
    """Per person: how many were provided, how many brought nothing yet, what it was worth; of nobody else's."""
    first, second = world.handed(), world.handed()
    for id in (*first, *second):
        assert world.fetch(id).status == 200
    words = {"program": str(world.program.pk), "text_ja": "券", "text_en": "voucher"}
    for given in ({"kind": "coupon", "yen": 500, "provision": first[0]}, {"kind": "service", "yen": 1200,
                  "provision": first[0]}):  # fmt: skip
        answer = world.app.ask("POST", "/api/trust/recipient/benefits", encoded(words | given), type=JSON)
        assert answer.status == 204, answer
    told = family.mother.ask("GET", f"/api/trust/records/{YUKI}/benefits").json
    assert (told["provided"], told["none_yet"], told["yen"]) == (2, 1, 1700)
    assert told["provided"] == len(told["lines"])
    assert told["none_yet"] == sum(line["none_yet"] for line in told["lines"])
    assert told["yen"] == sum(benefit["yen"] for line in told["lines"] for benefit in line["benefits"])
    assert {line["provision"] for line in told["lines"]} == {*first, *second}
    everybody = {"kind": "study-result", "yen": 300} | words
    assert world.app.ask("POST", "/api/trust/recipient/benefits", encoded(everybody), type=JSON).status == 204
    told = family.mother.ask("GET", f"/api/trust/records/{YUKI}/benefits").json
    assert (told["none_yet"], told["yen"]) == (0, 2000), "what came to all takers stands on each line and counts once"
    other = family.stranger.ask("GET", f"/api/trust/records/{OTSU}/benefits").json
    assert (other["provided"], other["none_yet"], other["yen"], other["lines"]) == (0, 0, 0, [])


@pytest.mark.IT("10")
def test_nobody_elses_history(family: Neighbourhood, world: World) -> None:
    world.handed()
    for app in (family.father, family.aunt, family.officer, family.stranger):
        assert app.ask("GET", f"/api/trust/records/{YUKI}/provisions").status == 404
    assert family.father.ask("GET", f"/api/trust/records/{HANA}/provisions").json["provisions"] == []


@pytest.mark.IT("07", "11")
def test_withdrawn_between_judgement_and_delivery_nothing_leaves(family: Neighbourhood, world: World) -> None:
    [id] = world.handed()
    never = world.fetch("00000000-0000-4000-8000-000000000000")
    grants.withdraw(grant=world.grant, by=world.yuki, reason="", now=timezone.now())
    gone = world.fetch(id)
    assert (gone.status, gone.content) == (404, never.content)
    assert Provision.objects.get(pk=id).items == []
    line = AuditEntry.objects.filter(event="provision:turned-away", subject=YUKI).latest("pk")
    assert line.organization == world.to.organization_id
    assert world.handed() == []


@contextmanager
def paused(world: World, how: str) -> Iterator[None]:
    """Let one ground of the provision fall away, and stand again."""
    now, desk = timezone.now(), world.trust.clerk
    match how:
        case "recipient":
            recipients.suspend(recipient=world.to, reason="x", by=desk, now=now)
            yield
            recipients.resume(recipient=world.to, by=desk, now=now)
        case "certificate":
            recipients.renew(recipient=world.to, certified_until=now, by=desk, now=now)
            yield
            recipients.renew(recipient=world.to, certified_until=now + timedelta(days=9), by=desk, now=now)
        case "program":
            world.trust.decided(world.program, "stop", valid_until=None, now=now)
            yield
            world.trust.decided(world.program, now=now)
        case "record":
            Subject.objects.filter(pk=YUKI).update(state="locked")
            yield
            Subject.objects.filter(pk=YUKI).update(state="active")
        case "deny":
            stop = Clause(permit=False, actors=frozenset({"class:third-party"}))
            made = grants.give(subject=world.subject, root=stop, by=world.yuki, capacity="self", now=now)
            yield
            grants.withdraw(grant=made, by=world.yuki, reason="", now=now)
        case "terms":
            world.trust.terms("第二版")
            yield
            world.trust.entrusted(world.subject, world.yuki)


@pytest.mark.IT("07", "12", "20", "30")
@pytest.mark.parametrize("how", ["recipient", "certificate", "program", "record", "deny", "terms"])
def test_everything_is_judged_again_at_delivery(family: Neighbourhood, world: World, how: str) -> None:
    [id] = world.handed()
    with paused(world, how):
        assert world.fetch(id).status == 404
    assert world.fetch(id).status == 200


@pytest.mark.IT("07")
def test_pages_are_whole_and_may_be_asked_again(family: Neighbourhood, world: World) -> None:
    [id] = world.handed()
    seen, query, pages = [], "?count=1", 0
    while True:
        told = world.fetch(id, query)
        assert told.status == 200, told
        again = world.fetch(id, query)
        assert [e["resource"]["id"] for e in again.json["entry"]] == [e["resource"]["id"] for e in told.json["entry"]]
        seen += [e["resource"]["id"] for e in told.json["entry"]]
        assert len(told.json["entry"]) <= 1
        pages += 1
        following = [link["url"] for link in told.json["link"] if link["relation"] == "next"]
        if not following:
            break
        assert Provision.objects.get(pk=id).delivered_at is None
        query = f"{following[0]}&count=1"
    assert len(seen) == len(set(seen)) == 2 and pages == 2
    kept = Provision.objects.get(pk=id)
    assert len(kept.items) == 2 and kept.delivered_at is not None
    for wrong in ("?after=x", "?count=0", "?count=many", "?count=99999999999999999999", "?after=%00"):
        assert world.fetch(id, wrong).status == 422, wrong


@pytest.mark.IT("10")
def test_if_it_cannot_be_logged_nothing_leaves(
    family: Neighbourhood, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [id] = world.handed()
    plain = audit.record

    def broken(event: audit.Event, **more: Any) -> None:
        if event is audit.Event.PROVISION_DELIVERED:
            raise audit.AuditUnavailable("監査ログに書けません / the audit log cannot be written")
        plain(event, **more)

    monkeypatch.setattr(audit, "record", broken)
    told = world.fetch(id)
    assert told.status == 503 and b"29463-7" not in told.content
    monkeypatch.undo()
    # Killed before its commit, it has told nothing and kept nothing: the same page may be asked for again.
    assert (Provision.objects.get(pk=id).state, Provision.objects.get(pk=id).items) == ("permitted", [])
    assert world.fetch(id).status == 200


@pytest.mark.IT("10")
def test_the_log_tells_of_what_was_handed_over_and_of_nothing_else(family: Neighbourhood, world: World) -> None:
    [id] = world.handed()
    world.fetch(id)
    mine = AuditEntry.objects.filter(subject=YUKI, organization=world.to.organization_id).order_by("pk")
    assert [line.event for line in mine] == ["provision:judged", "record:searched", "provision:delivered"]
    assert {line.purpose for line in mine} == {"HRESCH"}


@pytest.mark.IT("24", "34")
def test_a_system_fetches_its_own_only(family: Neighbourhood, world: World) -> None:
    [id] = world.handed()
    other = system(world.trust.recipient())
    assert other.ask("GET", f"/api/trust/recipient/provisions/{id}").status == 404
    request = Provision.objects.get(pk=id).request_id
    assert other.ask("GET", f"/api/trust/recipient/requests/{request}/provisions").status == 404
    assert other.ask("GET", "/api/trust/recipient/requests/all").json == []
    processor = world.trust.recipient(processor_of=world.to)
    own = World(**{**vars(world), "app": system(processor)})
    [same] = own.handed()
    assert own.fetch(same).status == 200
    assert own.fetch(id).status == 404  # asked by the other system


@pytest.mark.IT("34")
@pytest.mark.G("03")
def test_what_is_about_two_takes_both(family: Neighbourhood, world: World) -> None:
    """A weight of the mother that is also about her child: only the mother permitted."""
    opened = Clause(permit=True, actors=frozenset({f"org:{family.demo.clinic.pk}"}), purposes=frozenset({"TREAT"}),
                    categories=frozenset({"IDENTITY", "GROWTH"}))  # fmt: skip
    father, child = Person.objects.get(username="ichiro"), Subject.objects.get(pk=HANA)
    grants.give(subject=child, root=opened, by=father, capacity="guardian", now=timezone.now())
    shared = family.clinic.made(weight(focus=[{"reference": f"Patient/{HANA}"}]))
    alone = family.clinic.made(weight())
    [id] = world.handed()
    told = world.fetch(id)
    found = {e["resource"]["id"] for e in told.json["entry"]}
    assert alone["id"] in found and shared["id"] not in found
    assert str(HANA) not in told.content.decode() and shared["id"] not in str(Provision.objects.get(pk=id).items)


@pytest.mark.IT("07")
def test_the_fhir_door_is_no_way_round(family: Neighbourhood, world: World) -> None:
    reading = system(world.to, scope=f"system/*.rs {SYSTEM_SCOPES}")
    answer = reading.search("Observation")
    assert answer.status in (200, 403) and not answer.json.get("entry")


def test_hostile_requests(family: Neighbourhood, world: World) -> None:
    for more in (
        {"categories": []}, {"categories": ["EVERYTHING"]}, {"categories": "GROWTH"}, {"level": 9}, {"until": "never"},
        {"until": "9999-12-31T23:59:59Z"}, {"reference": "a b"}, {"reference": "x" * 99}, {"program": "x"},
        {"intended": {"use": "DUO:0000001"}}, {"data_low": "2026-02-01T00:00:00Z", "data_high": "2026-01-01T00:00:00Z"},
        {"reference": "\x00"}, {"purpose": None}, {"categories": [None]}, {"categories": [{}]},
    ):  # fmt: skip
        assert world.ask(**more).status == 422, more
    assert world.ask(purpose="TREAT").status == 403
    assert world.ask(program="00000000-0000-4000-8000-000000000000").status == 404
    assert not Provision.objects.exists()


@pytest.mark.IT("04")
def test_asked_each_time_over_the_wire(family: Neighbourhood, world: World) -> None:
    grants.withdraw(grant=world.grant, by=world.yuki, reason="", now=timezone.now())
    world.trust.given(world.subject, world.yuki, f"org:{world.to.organization_id}", ask=True)
    asked = world.ask().json["id"]
    listed = f"/api/trust/recipient/requests/{asked}/provisions"
    assert world.app.ask("GET", listed).json["provisions"] == []
    [waiting] = family.mother.ask("GET", f"/api/trust/records/{YUKI}/provisions/waiting").json
    assert waiting["benefit_ja"] and waiting["recipient"] and waiting["categories"] == ["GROWTH"]
    path = f"/api/trust/records/{YUKI}/provisions/{waiting['id']}/answer"
    assert family.father.ask("POST", path, encoded({"yes": True}), type=JSON).status == 404
    assert world.fetch(waiting["id"]).status == 404
    answered = family.mother.ask("POST", path, encoded({"yes": True}), type=JSON)
    assert (answered.status, answered.json["state"]) == (200, "permitted")
    assert [p["id"] for p in world.app.ask("GET", listed).json["provisions"]] == [waiting["id"]]
    assert len(world.fetch(waiting["id"]).json["entry"]) == 2
    assert family.mother.ask("POST", path, encoded({"yes": False}), type=JSON).status == 409


@pytest.mark.IT("22")
def test_reports_and_certificates_over_the_wire(family: Neighbourhood, world: World) -> None:
    [id] = world.handed()
    world.fetch(id)
    programs.close(program=world.program, by=world.trust.clerk, now=timezone.now())
    overdue.sweep(now=timezone.now())
    kinds = [n["kind"] for n in world.app.ask("GET", "/api/trust/recipient/notices").json]
    assert "deletion:due" in kinds
    path = f"/api/trust/recipient/provisions/{id}/deletion"
    words = encoded({"method": "shredded", "signed_by": "例示 太郎"})
    assert system(world.trust.recipient()).ask("POST", path, words, type=JSON).status == 404
    assert world.app.ask("POST", path, words, type=JSON).status == 204
    report = {"period_from": "2026-01-01", "used_for": "x", "persons_with_access": 1, "handed_on": False,
              "incidents": 0}  # fmt: skip
    assert world.app.ask("POST", "/api/trust/recipient/reports", encoded(report), type=JSON).status == 404
    [first, *_] = world.app.ask("GET", "/api/trust/recipient/notices").json
    assert first["acknowledged_at"] is None
    taken = f"/api/trust/recipient/notices/{first['id']}/acknowledge"
    assert world.app.ask("POST", taken, encoded({}), type=JSON).status == 204
    assert world.app.ask("GET", "/api/trust/recipient/notices").json[0]["acknowledged_at"] is not None


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.IT("04")
def test_only_the_time_asked_for(family: Neighbourhood, world: World) -> None:
    [id] = world.handed(data_low="2026-03-02T00:00:00+09:00", data_high="2026-03-03T00:00:00+09:00")
    entries = world.fetch(id).json["entry"]
    assert [moment(e["resource"]["effectiveDateTime"]) for e in entries] == [moment("2026-03-02T09:00:00+09:00")]
