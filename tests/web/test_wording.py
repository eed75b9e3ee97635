"""Scopes in plain words, in both languages; the catalogue is complete and compiled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils import translation

from phr.smart import scopes
from phr.web import translations, wording

WEB = Path(translations.__file__).parent
IMPORTS = WEB.parents[1] / "integrations"
PO = WEB / "locale" / "en" / "LC_MESSAGES" / "django.po"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@pytest.mark.parametrize(
    ("scope", "japanese", "english"),
    [
        ("patient/*.cruds", "すべての記録を見る・追加する・書きかえる・消す", "All records: see, add, change, delete"),
        ("patient/Immunization.rs", "予防接種を見る", "Vaccinations: see"),
        ("user/Observation.c", "検査・測定の結果を追加する", "Test results and measurements: add"),
        ("patient/Basic.r", "Basicを見る", "Basic: see"),
        (
            f"patient/Observation.rs?category={CATEGORY}|laboratory",
            "検査・測定の結果を見る（検体検査だけ）",
            "Test results and measurements: see (only laboratory)",
        ),
        ("offline_access", "アプリを開いていないときも使い続ける", "Go on while the app is not open"),
    ],
)
def test_a_scope_in_plain_words(scope: str, japanese: str, english: str) -> None:
    with translation.override("ja"):
        assert wording.lines((scope,)) == [japanese]
    with translation.override("en"):
        assert wording.lines((scope,)) == [english]


def test_no_clinical_scope_goes_unsaid() -> None:
    for letters in ("c", "r", "u", "d", "s", "rs", "cruds"):
        assert len(wording.lines((f"patient/Patient.{letters}",))) == 1
    assert wording.lines(tuple(sorted(scopes.LAUNCH))) == []


def test_the_compiled_catalogue_is_up_to_date() -> None:
    compiled = translations.write_mo(translations.read_po(PO.read_text(encoding="utf-8")))
    assert PO.with_suffix(".mo").read_bytes() == compiled, "run: python -m phr.web.translations"


def test_every_text_of_the_pages_has_english() -> None:
    known = {key.rpartition("\x04")[2] for key in translations.read_po(PO.read_text(encoding="utf-8"))}
    said: set[str] = set()
    for template in [*(WEB / "templates").rglob("*.html"), *(IMPORTS / "templates").rglob("*.html")]:
        said |= set(re.findall(r'{% translate "([^"]+)" %}', template.read_text(encoding="utf-8")))
        for text in re.findall(
            r"{% blocktranslate[^%]*%}(.*?){% endblocktranslate %}", template.read_text(encoding="utf-8")
        ):
            said.add(re.sub(r"{{ (\w+) }}", r"%(\1)s", text))
    for module in [*WEB.glob("*.py"), *(IMPORTS / "pages").glob("*.py")]:
        said |= set(re.findall(r'(?<![\w.])(?:_|gettext_noop)\(\s*"([^"]+)"', module.read_text(encoding="utf-8")))
    assert len(said) > 70
    assert said <= known, said - known
