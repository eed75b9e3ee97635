"""The sections of an International Patient Summary: codes, titles, tables, and what stands where nothing is. Pure.

Source: IPS 1.1, Composition-uv-ips; LOINC; list-empty-reason. Problems, allergies and medications are required;
where nothing can be shown the reason is always `unavailable`, so it never tells whether something is withheld.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from phr.fhir.ips import rows
from phr.fhir.ips.wording import both
from phr.records.systems import LOINC

XHTML = "http://www.w3.org/1999/xhtml"
EMPTY = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "unavailable",
                "display": "Unavailable"}],
    "text": "情報がありません No information available",
}  # fmt: skip
NOTHING = (
    "この要約に載せられる情報がありません。「無い」という意味ではありません。",
    "No information is available for this summary. This does not mean that there is none.",
)


@dataclass(frozen=True, slots=True)
class Section:
    """One section: LOINC code and display, title, headings of its table, how a line is written.

    `always`: also where it is empty.
    """

    code: str
    display: str
    title: tuple[str, str]
    headings: tuple[tuple[str, str], ...]
    row: rows.Row
    always: bool = False


_DAY = ("日付", "Date")
_WHAT, _RESULT, _STATE = ("項目", "Item"), ("結果", "Result"), ("状態", "Status")
_OBSERVED = (_DAY, _WHAT, _RESULT, ("基準値", "Reference range"))
_PROBLEM = (("病名", "Problem"), _STATE, ("時期", "Period"), ("備考", "Note"))
SECTIONS = {
    "alerts": Section("104605-1", "Alert", ("注意", "Alerts"), (("注意", "Alert"), ("期間", "Period")), rows.alert),
    "problems": Section("11450-4", "Problem list - Reported", ("問題・病名", "Problem List"), _PROBLEM,
                        rows.problem, always=True),
    "allergies": Section(
        "48765-2", "Allergies and adverse reactions Document", ("アレルギー・不耐性", "Allergies and Intolerances"),
        (("原因", "Substance"), ("種類", "Kind"), ("重大さ", "Criticality"), ("症状", "Reaction"), _STATE, _DAY),
        rows.allergy, always=True),
    "medications": Section(
        "10160-0", "History of Medication use Narrative",
        ("くすり (使用中と過去180日)", "Medications (in use, and last 180 days)"),
        (("くすり", "Medication"), ("用法", "Dosage"), ("量", "Amount"), ("種別と状態", "Source and status"), _DAY),
        rows.medicine, always=True),
    "immunizations": Section(
        "11369-6", "History of Immunization Narrative", ("予防接種", "Immunizations"),
        (_DAY, ("ワクチン", "Vaccine"), ("対象の病気", "Disease"), ("回", "Dose"), ("ロット", "Lot"),
         ("場所", "Place"), _STATE),
        rows.immunization, always=True),
    "results": Section("30954-2", "Relevant diagnostic tests/laboratory data Narrative",
                       ("検査・所見 (項目ごとに最新)", "Results (newest of each)"), _OBSERVED,
                       rows.observation, always=True),
    "procedures": Section("47519-4", "History of Procedures Document", ("手術・処置", "Procedures"),
                          (_DAY, ("処置", "Procedure"), _STATE, ("備考", "Note")), rows.procedure, always=True),
    "devices": Section("46264-8", "History of medical device use", ("医療機器", "Medical Devices"),
                       (("機器", "Device"), ("部位", "Site"), _STATE, _DAY), rows.device, always=True),
    "pregnancy": Section("10162-6", "History of pregnancies Narrative", ("妊娠・出産", "Pregnancies"),
                         (_DAY, _WHAT, _RESULT), rows.pregnant),
    "vital": Section("8716-3", "Vital signs", ("バイタルサイン・身体計測 (項目ごとに最新)", "Vital Signs (newest)"),
                     _OBSERVED, rows.observation),
    "past": Section("11348-0", "History of Past illness Narrative", ("既往歴", "Past Illness"), _PROBLEM, rows.problem),
    "plan": Section("18776-5", "Plan of care note", ("ケアの計画", "Plan of Care"),
                    (("計画", "Plan"), ("内容", "Content"), _STATE, ("期間", "Period")), rows.plan),
    "social": Section("29762-2", "Social history Narrative", ("生活", "Social History"), _OBSERVED, rows.observation),
}  # fmt: skip


def section(
    kind: Section, lines: Sequence[Sequence[str]], entries: Sequence[str], *, notes: Sequence[str]
) -> dict[str, Any]:
    """A Composition.section. `entries`: full URLs, one for each line. `notes`: sentences above the table."""
    made: dict[str, Any] = {
        "title": both(*kind.title),
        "code": {"coding": [{"system": LOINC, "code": kind.code, "display": kind.display}]},
        "text": {"status": "generated", "div": div(*_paragraphs(notes), table(kind, lines) if lines else _nothing())},
    }
    if entries:
        made["entry"] = [{"reference": url} for url in entries]
    else:
        made["emptyReason"] = EMPTY
    return made


def div(*parts: str) -> str:
    """A narrative of parts that are XHTML already."""
    return f'<div xmlns="{XHTML}" lang="ja" xml:lang="ja">{"".join(parts)}</div>'


def table(kind: Section, lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(both(*heading))}</th>" for heading in kind.headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<table class="hl7__ips"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [f"<p>{escape(text)}</p>" for text in texts]


def _nothing() -> str:
    japanese, english = NOTHING
    return f'<p>{japanese}</p><p lang="en" xml:lang="en">{english}</p>'
