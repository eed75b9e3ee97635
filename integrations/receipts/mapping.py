"""One receipt → FHIR R4 resources: who insures (Coverage), then what was claimed. Pure.

Everything is tagged as a claim: a bill says what was charged for, not what a clinician found (README.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.items import About, Mapped
from integrations.receipts import dispensing, medical
from integrations.receipts.masters import NONE, Masters
from integrations.receipts.rows import Row, from_json
from integrations.receipts.shapes import Making, Resource
from integrations.receipts.table import Form
from phr.records import systems

_COVERAGE = "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Coverage_"
_PAYER = "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber"
_PUBLIC_MEMBER = "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicInsuredPersonNumber"


def map_receipt(content: Mapping[str, Any], *, key: str, about: About, masters: Masters = NONE) -> Mapped:
    """`content`: {"form", "month", "rows"} as the connector keeps it. Never raises for what a receipt may hold."""
    making = Making(about, key, content["form"], content["month"], masters)
    rows = from_json(content)
    _coverages(making, rows)
    if making.form == "medical":
        medical.diagnoses(making, rows)
        medical.charged(making, rows)
    else:
        dispensing.dispensed(making, rows)
    return Mapped(making.resources, tuple(making.problems))


def member_id(rows: Sequence[Row], form: Form) -> str:
    """`保険者番号8:記号:番号:枝番` of HO and SN; "" where there is no insurer."""
    insurer = next((row for row in rows if row.record == "HO"), None)
    number = insurer.get("保険者番号", form).replace(" ", "") if insurer else ""
    if insurer is None or not (number and insurer.get("番号", form)):
        return ""
    return f"{number.zfill(8)}:{insurer.get('記号', form)}:{insurer.get('番号', form)}:{_branch(rows, form)}"


def public_id(rows: Sequence[Row], form: Form) -> str:
    """`負担者番号:受給者番号` of the first KO; "" where there is none."""
    row = next((row for row in rows if row.record == "KO"), None)
    payer, member = _public(row, form) if row else ("", "")
    return f"{payer}:{member}" if payer and member else ""


def _public(row: Row, form: Form) -> tuple[str, str]:
    payer, member = ("公費負担者番号", "公費受給者番号") if form == "medical" else ("負担者番号", "受給者番号")
    return row.get(payer, form), row.get(member, form)


def _branch(rows: Sequence[Row], form: Form) -> str:
    """枝番 of the insurer (負担者種別 1)."""
    own = (row for row in rows if row.record == "SN" and row.get("負担者種別", form) in ("1", ""))
    return next((row.get("枝番", form) for row in own if row.get("枝番", form)), "")


def _coverages(making: Making, rows: Sequence[Row]) -> None:
    for row in rows:
        if row.record == "HO" and making.get(row, "保険者番号"):
            making.resources.append(_insurance(making, row, rows))
        elif row.record == "KO" and all(_public(row, making.form)):
            making.resources.append(_public_payer(making, row))


def _insurance(making: Making, row: Row, rows: Sequence[Row]) -> Resource:
    insurer = making.get(row, "保険者番号").replace(" ", "")
    said = {
        "InsuredPersonSymbol": making.get(row, "記号"),
        "InsuredPersonNumber": making.get(row, "番号"),
        "InsuredPersonSubNumber": _branch(rows, making.form),
    }
    made = making.begin("Coverage", "HO", insurer, profile="JP_Coverage")
    made["extension"] = [{"url": _COVERAGE + name, "valueString": text} for name, text in said.items() if text]
    if not made["extension"]:
        del made["extension"]
    if member := member_id(rows, making.form):
        made["identifier"] = [{"system": systems.MEMBER_ID, "value": member}]
    payer = {"type": "Organization", "identifier": {"system": systems.INSURER, "value": insurer}}
    return made | _valid(making, payer)


def _public_payer(making: Making, row: Row) -> Resource:
    payer, member = _public(row, making.form)
    made = making.begin("Coverage", "KO", payer, profile="JP_Coverage")
    made["identifier"] = [{"system": _PUBLIC_MEMBER, "value": member}]
    return made | _valid(making, {"type": "Organization", "identifier": {"system": _PAYER, "value": payer}})


def _valid(making: Making, payer: Resource) -> Resource:
    """Valid in the month that was claimed for; more a receipt does not say."""
    period = {"start": f"{making.month}-01", "end": making.last_day().isoformat()}
    return {"status": "active", "beneficiary": making.patient, "period": period, "payor": [payer]}
