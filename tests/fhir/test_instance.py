"""Create, read, vread, update, delete, history, over HTTP with real tokens (R4 http.html)."""

from __future__ import annotations

import re
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection, transaction

from phr.populate.cast import HANA, YUKI
from tests.family import (
    KAI,
    OTSU,
    App,
    Neighbourhood,
    audit_lines,
    encoded,
    organization,
    post,
    pressure,
    rows,
    secret,
    weight,
)

UUID_TEXT = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.mark.spec("FHIR R4", "3.1.0.8", "create: 201 with Location, ETag and Last-Modified; the server gives the id")
def test_create(family: Neighbourhood) -> None:
    answer = family.mother.create(weight() | {"id": "my-own-id"})
    assert answer.status == 201, answer
    assert re.fullmatch(UUID_TEXT, answer.id)
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Location"] == f"http://127.0.0.1:8000/fhir/Observation/{answer.id}/_history/1"
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert answer.json["meta"]["versionId"] == "1"
    assert family.mother.get(f"Observation/{answer.id}").content == answer.content


@pytest.mark.spec("FHIR R4", "2.24.0.1", "the precision of a decimal is significant: 1.00 is not 1.0")
@pytest.mark.parametrize("digits", ["1.00", "0.000", "52.40", "100", "1E+2", "0.1234567890123456789"])
def test_decimals_keep_every_digit(family: Neighbourhood, digits: str) -> None:
    made = family.mother.made(weight(value=digits))
    text = family.mother.get(f"Observation/{made['id']}").content.decode()
    assert f'"value":{digits},' in text
    found = family.mother.search("Observation", _id=made["id"])
    assert f'"value":{digits},' in found.content.decode()
    assert str(found.json["entry"][0]["resource"]["valueQuantity"]["value"]) == str(Decimal(digits))


@pytest.mark.spec("FHIR R4", "3.1.0.2", "read returns the resource with ETag; If-None-Match gives 304")
def test_read_and_if_none_match(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    path = f"Observation/{made['id']}"
    answer = family.mother.get(path)
    assert (answer.status, answer.headers["ETag"]) == (200, 'W/"1"')
    for same in ('W/"1"', '"1"', 'W/"7", W/"1"', "*"):
        unchanged = family.mother.get(path, if_none_match=same)
        assert (unchanged.status, unchanged.content, unchanged.headers["ETag"]) == (304, b"", 'W/"1"'), same
    for other in ('W/"2"', "nonsense", 'W/"1'):
        assert family.mother.get(path, if_none_match=other).status == 200


@pytest.mark.spec("FHIR R4", "3.1.0.2", "HEAD: as GET, without a body")
def test_head(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    answer = family.mother.ask("HEAD", f"Observation/{made['id']}")
    assert (answer.status, answer.content, answer.headers["ETag"]) == (200, b"", 'W/"1"')
    assert family.mother.ask("HEAD", "Observation").status == 200
    assert family.mother.ask("HEAD", f"Observation/{uuid4()}").status == 404
    assert family.anonymous.ask("HEAD", "metadata").status == 200


@pytest.mark.spec("FHIR R4", "3.1.0.4", "update makes a new version; the same content again makes none")
def test_update(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    changed = made | {"status": "amended"}
    answer = family.mother.put(changed)
    assert (answer.status, answer.headers["ETag"], answer.json["status"]) == (200, 'W/"2"', "amended")
    before = rows()
    again = family.mother.put(changed)
    assert (again.status, again.headers["ETag"]) == (200, 'W/"2"')
    assert rows() == before
    assert family.mother.get(f"Observation/{made['id']}/_history/1").json == made


@pytest.mark.spec("FHIR R4", "3.1.0.4.1", "a server that gives the ids itself refuses update-as-create")
def test_update_of_nothing(family: Neighbourhood) -> None:
    answer = family.mother.put(weight() | {"id": str(uuid4())})
    assert (answer.status, answer.issue["code"]) == (405, "not-supported")
    assert "Allow" in answer.headers


def test_update_must_name_the_id_of_the_url(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    for wrong in (made | {"id": "other"}, made | {"id": None}, made | {"id": 1}, weight()):
        answer = family.mother.ask("PUT", f"Observation/{made['id']}", encoded(wrong))
        assert (answer.status, answer.issue["expression"]) == (400, ["Observation.id"])


@pytest.mark.spec("FHIR R4", "3.1.0.5", "If-Match with another version: 412, and nothing is written")
def test_if_match(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    changed = made | {"status": "amended"}
    before = rows()
    assert family.mother.put(changed, if_match='W/"2"').status == 412
    assert family.mother.delete(f"Observation/{made['id']}", if_match='W/"9"').status == 412
    for odd in ("1", "*, *", 'W/"1", *', 'W/"x"', 'W/"99999999999999999999"', "", ", ".join(['W/"1"'] * 21)):
        answer = family.mother.put(changed, if_match=odd)
        assert (answer.status, answer.issue["severity"]) == (400, "error"), odd
    assert rows() == before
    assert family.mother.put(changed, if_match='W/"1"').status == 200
    assert family.mother.put(changed | {"status": "corrected"}, if_match='W/"1"').status == 412


@pytest.mark.spec("FHIR R4", "3.1.0.7", "delete: 204, then 410 for read; earlier versions stay; again is no error")
def test_delete(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    path = f"Observation/{made['id']}"
    gone = family.mother.delete(path)
    assert (gone.status, gone.content, gone.headers["ETag"]) == (204, b"", 'W/"2"')
    answer = family.mother.get(path)
    assert (answer.status, answer.issue["code"]) == (410, "deleted")
    assert family.mother.get(f"{path}/_history/1").json == made
    assert family.mother.get(f"{path}/_history/2").status == 410
    assert family.mother.search("Observation", _id=made["id"]).ids == []
    again = family.mother.delete(path)
    assert (again.status, again.headers["ETag"]) == (204, 'W/"2"')
    back = family.mother.put(made)
    assert (back.status, back.headers["ETag"]) == (201, 'W/"3"')
    assert family.mother.search("Observation", _id=made["id"]).ids == [made["id"]]


@pytest.mark.spec("FHIR R4", "3.1.0.9", "history of an instance, newest first, with deletions")
def test_history(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    path = f"Observation/{made['id']}"
    family.mother.put(made | {"status": "amended"})
    family.mother.delete(path)
    told = family.mother.get(f"{path}/_history").json
    assert told["type"] == "history"
    assert [e["request"]["method"] for e in told["entry"]] == ["DELETE", "PUT", "POST"]
    assert [e["response"]["etag"] for e in told["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
    assert ["resource" in e for e in told["entry"]] == [False, True, True]
    assert told["entry"][2]["resource"] == made


def test_history_in_pages(family: Neighbourhood) -> None:
    made = family.mother.made(weight(value="1.0"))
    for n in range(2, 6):
        family.mother.put(weight(value=f"{n}.0") | {"id": made["id"]})
    seen, url = [], f"Observation/{made['id']}/_history?_count=2"
    while url:
        page = family.mother.get(url)
        seen += [e["response"]["etag"] for e in page.json["entry"]]
        url = page.next
    assert seen == [f'W/"{n}"' for n in (5, 4, 3, 2, 1)]
    for bad in ("_count=0", "_count=-1", "_count=x", "_before=%00", "_since=soon", "_count=1%27"):
        refused = family.mother.get(f"Observation/{made['id']}/_history?{bad}", prefer="handling=strict")
        assert refused.status == 400, bad


@pytest.mark.spec("FHIR R4", "3.1.0.1.9", "Prefer: return=minimal | representation | OperationOutcome")
def test_prefer_return(family: Neighbourhood) -> None:
    assert family.mother.create(weight(), prefer="return=minimal").content == b""
    assert family.mother.create(weight(), prefer="return=representation").json["resourceType"] == "Observation"
    told = family.mother.create(weight(), prefer="return=OperationOutcome")
    assert (told.status, told.json["issue"][0]["severity"]) == (201, "information")
    assert family.mother.create(weight(), prefer='return=minimal, respond-async; x="').status == 201
    minimal = family.mother.bundle("transaction", post(weight()))
    assert "resource" not in minimal.json["entry"][0]
    full = family.mother.bundle("transaction", post(weight()), prefer="return=representation")
    assert full.json["entry"][0]["resource"]["resourceType"] == "Observation"


@pytest.mark.spec("FHIR R4", "3.1.0.1.10", "_format wins over Accept; only JSON is served, else 406")
@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("Observation", "application/fhir+json", 200), ("Observation", "application/json;q=0.9, text/x", 200),
        ("Observation", "*/*", 200), ("Observation", "application/fhir+xml", 406), ("Observation", "text/turtle", 406),
        ("Observation?_format=json", "application/fhir+xml", 200),
        ("Observation?_format=application/fhir%2Bjson", "", 200),
        ("Observation?_format=application/fhir+json", "", 200),
        ("Observation?_format=xml", "application/fhir+json", 406), ("Observation?_format=text/turtle", "", 406),
        ("metadata?_format=xml", "", 406), ("Observation?_format=", "", 406),
    ],
)  # fmt: skip
def test_formats(family: Neighbourhood, path: str, accept: str, status: int) -> None:
    answer = family.mother.get(path, **({"accept": accept} if accept else {}))
    assert answer.status == status
    if status == 406:
        assert answer.issue["code"] == "not-supported"


def test_body_formats(family: Neighbourhood) -> None:
    body = encoded(weight())
    for good in ("application/fhir+json", "application/json; charset=UTF-8", 'application/fhir+json;charset="utf-8"'):
        assert family.mother.ask("POST", "Observation", body, type=good).status == 201, good
    before = rows()
    for bad in ("application/fhir+xml", "text/plain", "application/fhir+json; charset=shift_jis", "x", "",
                "application/json; charset=utf-16", "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x", "application/fhir+json; charset=base64",
                "application/fhir+json; charset=rot13"):  # fmt: skip
        answer = family.mother.ask("POST", "Observation", body, type=bad)
        assert (answer.status, answer.issue["code"]) == (415, "not-supported"), bad
    assert rows() == before


# -- who may -----------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 6750", "3", "a request without a usable token gets 401 with a challenge")
def test_without_a_token(family: Neighbourhood) -> None:
    for method, path in (("GET", "Observation"), ("POST", "Observation"), ("POST", ""), ("PUT", "Observation/x"),
                         ("DELETE", "Observation/x"), ("GET", "Observation/x/_history/1")):  # fmt: skip
        answer = family.anonymous.ask(method, path, b"{" if method in ("POST", "PUT") else None)
        assert (answer.status, answer.issue["code"]) == (401, "login"), (method, path)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="fhir"'
    wrong = App("nobody's token").get("Observation")
    assert (wrong.status, wrong.headers["WWW-Authenticate"]) == (401, 'Bearer realm="fhir", error="invalid_token"')
    basic = family.anonymous.get("Observation", authorization="Basic eDp5")
    assert basic.status == 401
    assert family.anonymous.get(f"Observation?access_token={family.mother.token}").status == 401


def test_a_token_that_does_not_carry_the_interaction(family: Neighbourhood) -> None:
    reader = family.app("mother", scope="launch/patient patient/Observation.rs")
    made = family.mother.made(weight())
    before = rows()
    for answer in (
        reader.create(weight()), reader.put(made | {"status": "amended"}), reader.delete(f"Observation/{made['id']}"),
        reader.get("Condition"), reader.get(f"Patient/{YUKI}"), reader.get(f"Patient/{YUKI}/_history"),
    ):  # fmt: skip
        assert (answer.status, answer.issue["code"]) == (403, "forbidden")
    batch = reader.bundle("batch", post(weight()), {"request": {"method": "GET", "url": f"Observation/{made['id']}"}})
    assert [e["response"]["status"] for e in batch.json["entry"]] == ["403", "200"]
    assert reader.bundle("transaction", post(weight())).status == 403
    assert rows() == before


@pytest.mark.spec("Trust rules", "E-10", "nonexistent = forbidden: same status, same body, same headers")
def test_hidden_looks_like_nonexistent(family: Neighbourhood) -> None:
    hidden, absent = family.stranger.made(weight(of=OTSU))["id"], str(uuid4())
    for app in (family.mother, family.aunt, family.clinic, family.officer, family.father):
        for below in ("", "/_history", "/_history/1", "/_history/9"):
            there, nowhere = (app.get(f"Observation/{x}{below}") for x in (hidden, absent))
            assert there.status == 404
            assert there.told() == nowhere.told()
            conditional = app.get(f"Observation/{hidden}{below}", if_none_match='W/"1"')
            assert conditional.told() == nowhere.told()
        for method in ("PUT", "DELETE"):
            told = []
            for name in (hidden, absent):
                body = encoded(weight() | {"id": name}) if method == "PUT" else None
                told.append(app.ask(method, f"Observation/{name}", body).told())
            assert told[0] == told[1]


def test_gone_is_told_only_to_who_could_read(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    path = f"Observation/{made['id']}"
    family.mother.delete(path)
    assert family.mother.get(path).status == 410
    for app in (family.stranger, family.aunt, family.father):
        assert app.get(path).told() == app.get(f"Observation/{uuid4()}").told()


@pytest.mark.spec("FHIR R4", "3.1.0.4", "a resource never moves to another person")
def test_update_cannot_move_a_resource(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    before = rows()
    for other in (HANA, KAI, uuid4()):
        answer = family.mother.put(made | {"subject": {"reference": f"Patient/{other}"}})
        assert (answer.status, answer.issue["code"]) == (422, "business-rule")
        assert answer.issue["expression"] == ["Observation.subject"]
    assert rows() == before


def test_creating_for_somebody_else(family: Neighbourhood) -> None:
    before = rows()
    strange, nobody = (family.clinic.create(weight(of=x)) for x in (KAI, uuid4()))
    assert strange.status == nobody.status == 422
    assert strange.issue["expression"] == ["Observation.subject"]
    assert {k: v for k, v in strange.issue.items() if k != "diagnostics"} == {
        k: v for k, v in nobody.issue.items() if k != "diagnostics"
    }
    assert family.mother.create(weight(of=HANA)).status == 422
    assert rows() == before


def test_a_person_cannot_change_what_the_clinic_wrote(family: Neighbourhood) -> None:
    made = family.clinic.made(pressure())
    path = f"Observation/{made['id']}"
    assert family.mother.get(path).status == 200
    before = rows()
    for answer in (family.mother.put(made | {"status": "amended"}), family.mother.delete(path)):
        assert (answer.status, answer.issue["code"]) == (403, "forbidden")
    batch = family.mother.bundle("batch", {"request": {"method": "DELETE", "url": path}})
    assert batch.json["entry"][0]["response"]["status"] == "403"
    assert rows() == before
    assert family.clinic.put(made | {"status": "amended"}).status == 200
    assert family.clinic.delete(path).status == 204


def test_a_clinic_cannot_change_what_the_family_wrote(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    assert family.clinic.get(f"Observation/{made['id']}").status == 200
    before = rows()
    assert family.clinic.put(made | {"status": "amended"}).status == 403
    assert family.clinic.delete(f"Observation/{made['id']}").status == 403
    assert rows() == before


def test_organisations_change_only_the_open_types_they_wrote(family: Neighbourhood) -> None:
    made = family.clinic.made(organization())
    other = family.of_clinic("9919000003")
    path = f"Organization/{made['id']}"
    for app in (other, family.mother, family.officer, family.stranger):
        assert app.get(path).status == 200
        assert app.put(made | {"name": "別の名"}).status == 403
        assert app.delete(path).status == 403
    assert family.clinic.put(made | {"name": "新しい名"}).status == 200
    assert family.mother.get(path).json["name"] == "新しい名"
    assert family.mother.create(organization()).status == 422


def test_security_labels_stay_inside(family: Neighbourhood) -> None:
    made = family.clinic.made(secret())
    assert made["meta"]["security"][0]["code"] == "R"
    seen = family.mother.get(f"Observation/{made['id']}")
    assert seen.status == 200
    for answer in (seen, family.mother.get(f"Observation/{made['id']}/_history"),
                   family.mother.search("Observation", _id=made["id"])):  # fmt: skip
        assert b"security" not in answer.content
    assert family.mother.search("Observation", _security="R").status == 400


def test_an_update_cannot_take_away_a_label_that_was_not_shown(family: Neighbourhood) -> None:
    made = family.mother.made(secret())
    assert family.clinic.get(f"Observation/{made['id']}").status == 404
    shown = family.mother.get(f"Observation/{made['id']}").json
    assert family.mother.put(shown | {"status": "amended"}).status == 200
    assert family.clinic.get(f"Observation/{made['id']}").status == 404


# -- the log ---------------------------------------------------------------------------------------


def test_every_interaction_leaves_its_line(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    path = f"Observation/{made['id']}"
    family.clinic.get(path)
    family.clinic.get(f"{path}/_history/1")
    family.clinic.get(f"{path}/_history")
    family.clinic.search("Observation", patient=str(YUKI), code=f"{secret()['code']['coding'][0]['code']}")
    family.mother.put(made | {"status": "amended"})
    family.mother.delete(path)
    yuki, clinic = family.demo.people["yuki"].pk, family.demo.clinic.pk
    for event, who, count in (
        ("record:created", yuki, 1), ("record:updated", yuki, 1), ("record:deleted", yuki, 1),
        ("record:read", clinic, 2), ("record:history", clinic, 1), ("record:searched", clinic, 1),
    ):  # fmt: skip
        lines = [x for x in audit_lines(event) if x[0] == YUKI and who in (x[1], x[2]) and "Patient" not in str(x[4])]
        assert len(lines) == count, (event, lines)
        assert lines[-1][3] in ("self", "system")
        assert "118" not in str(lines)


def test_nothing_leaves_without_its_line(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    path = f"Observation/{made['id']}"
    mother = family.mother
    before = rows()
    for ask in (
        lambda: mother.get(path), lambda: mother.get(f"{path}/_history"), lambda: mother.get(f"{path}/_history/1"),
        lambda: mother.search("Observation"), lambda: mother.create(weight()), lambda: mother.delete(path),
        lambda: mother.put(made | {"status": "amended"}), lambda: mother.bundle("transaction", post(weight())),
    ):  # fmt: skip
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("ALTER TABLE consent_auditentry RENAME TO out_of_reach")
            answer = ask()
            transaction.set_rollback(True)
        assert (answer.status, answer.issue["code"]) == (503, "transient")
        assert b"118" not in answer.content
    assert rows() == before
