"""Full text of what belongs to no one: words by their beginning, Japanese by any part of it."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from phr.records.index import index_of
from phr.records.search.params import param_ids
from phr.records.search.words import LAST, MOST, asked, vector
from tests.records.samples import observation
from tests.records.search.test_quantities import KEY

TOLD = ["妊娠糖尿病の食事：HbA1c検査を受けましょう。", "Diabetes in pregnancy, what to eat"]


def meets(texts: list[str], query: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::tsvector @@ %s::tsquery", [vector(texts), asked(query)])
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
@pytest.mark.spec("FHIR R4", "3.1.1.5.10", "_text and _content find words in the text")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("糖尿病", True), ("妊娠糖尿", True), ("病", True), ("糖", True), ("尿糖", False), ("妊娠の", False),
        ("検査 妊娠", True), ("検査 血圧", False), ("hba1c", True), ("ＨｂＡ１ｃ検査", True), ("a1c", False),
        ("diab", True), ("DIABETES", True), ("pregnancy eat", True), ("betes", False), ("in-pregnancy", False),
        ("'; DROP TABLE x; --", False), ("diabetes & !eat", True), ("', :*", False), ("\\", False),
        ("みはりましょう", False),
        ("ケマショウ", True),
    ],
)  # fmt: skip
def test_what_is_found(query: str, found: bool) -> None:
    assert meets(TOLD, query) is found


@pytest.mark.django_db
def test_texts_stay_apart_and_long_ones_are_kept() -> None:
    assert not meets(["妊娠", "糖尿病"], "妊娠糖尿病")
    assert meets(["見本" * LAST + "終"], "終")
    assert not meets(["x " * MOST + "end"], "end")
    assert meets(["ab " * 5000], "ab")
    many = [chr(0x4E00 + n % 20000) + chr(0x4E00 + n * 7 % 19997) for n in range(MOST)]
    assert meets(["始終", "".join(many)], "始終")
    assert meets([" ".join(f"{n:x}" * 20 for n in range(MOST // 50))], "1" * 20)


@pytest.mark.django_db
@given(st.text(max_size=60), st.data())
def test_any_japanese_part_is_found(text: str, data: st.DataObject) -> None:
    """And nothing that is written or asked makes PostgreSQL refuse."""
    whole = "".join(c for c in text if "ぁ" <= c <= "ん") + "妊娠糖尿病"
    start = data.draw(st.integers(0, len(whole) - 1))
    part = whole[start : data.draw(st.integers(start + 1, len(whole)))]
    assert meets([text, whole], part)
    if asked(text):
        meets([text], text)


def test_only_what_is_nobodys_secret() -> None:
    div = {"status": "generated", "div": "<div>ひ<b>み</b>つ &amp; more</div>"}
    open_ = dict(index_of({"resourceType": "Organization", "text": div, "name": "病院"}, KEY).words)
    assert open_[param_ids()["_text"]] == "'more':5 'つ':3 'ひみ':1 'みつ':2"
    assert "病院" in open_[param_ids()["_content"]]
    assert "病院" not in open_[param_ids()["_text"]]
    assert index_of(observation(text=div), KEY).words == ()
    assert index_of({"resourceType": "Patient", "text": div}, KEY).words == ()
