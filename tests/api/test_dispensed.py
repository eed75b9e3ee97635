"""What was dispensed, and the notebook, as a mother's app gets them: each once, undone and redone, read by others."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from integrations import running
from integrations.incoming import Part
from integrations.jahis_qr.parse import parse
from integrations.jahis_qr.parts import join
from phr.populate.cast import YUKI
from tests.family import App, Neighbourhood, encoded
from tests.integrations.jahis_qr.samples import DRUG, GROUP
from tests.integrations.jahis_qr.test_write import read_png


def call(app: App, what: str, told: Any = None, *, method: str = "GET") -> Any:
    body = None if told is None else encoded(told)
    return app.ask(method, f"/api/trust/records/{YUKI}/{what}", body, type="application/json")


@pytest.fixture
def imported(family: Neighbourhood) -> App:
    lines = ("JAHISTC08,1", "1,見本　雪,2,19920203", *GROUP, *DRUG, "401,気をつけて,1", "")
    sent = {"subject": str(YUKI), "parts": [{"data": base64.b64encode("\r\n".join(lines).encode("cp932")).decode()}]}
    answer = family.mother.ask("POST", "/api/imports/jahis-qr", encoded(sent), type="application/json")
    assert answer.status == 202, answer
    running.run(UUID(answer.headers["Location"].rpartition("/")[2]), clock=timezone.now)
    return family.mother


def test_each_dispensing_is_told_with_its_sources(imported: App) -> None:
    [told] = [one for one in call(imported, "dispensed").json["dispensed"] if one["name"] == "見本錠５ｍｇ"]
    assert (told["day"], told["quantity"], told["unit"], told["days"]) == ("2026-01-12", "28", "錠", "28")
    assert (told["pharmacy"], told["merged_from"], told["proposal"]) == ("見本薬局", 1, False)
    assert told["sources"][0]["told_by"] is None


def test_a_source_is_set_apart_and_back(imported: App) -> None:
    [told] = [one for one in call(imported, "dispensed").json["dispensed"] if one["name"] == "見本錠５ｍｇ"]
    source = {"reference": told["sources"][0]["reference"]}
    for deed, apart in (("separate", True), ("join", False)):
        after = call(imported, f"dispensed/{deed}", source, method="POST")
        assert after.status == 200, after
        assert [one["apart"] for one in after.json["dispensed"] if one["name"] == "見本錠５ｍｇ"] == [apart]
    assert call(imported, "dispensed/join", {"reference": "Patient/x"}, method="POST").status == 422


def test_the_notebook_is_text_and_symbols(imported: App) -> None:
    text = call(imported, "notebook")
    assert text.headers["Content-Type"] == "text/plain; charset=Shift_JIS"
    book = parse(text.content)
    assert [row.get("薬品名称") for row in book.all("201")].count("見本錠５ｍｇ") == 1
    assert book.all("401")[0].get("内容") == "気をつけて"
    for split in ("911", "append"):
        told = call(imported, f"notebook/symbols?split={split}").json
        parts = [read_png(base64.b64decode(symbol["png"])) for symbol in told["symbols"]]
        index = [Part(data, n, len(parts)) if split == "append" else Part(data) for n, data in enumerate(parts)]
        assert join(index).data is not None
        assert told["symbols"][0]["svg"].startswith("<?xml")
    picture = call(imported, "notebook/symbols/1.png")
    assert picture.headers["Content-Type"] == "image/png"
    assert read_png(picture.content).startswith(b"JAHISTC08,2")
    assert call(imported, "notebook/symbols?split=x").status == 422
    assert call(imported, "notebook/symbols/1.gif").status == 404
