"""Where the resources of one person in one chunk came from: the organisation, the original, the lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from integrations.incoming import Resource
from integrations.items import Item
from phr.records import systems

if TYPE_CHECKING:
    from integrations.storing import Source

PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
MOST_SAID = 1000  # characters about places in the original
_PRODUCT = {"system": "urn:ietf:rfc:3986", "value": systems.OWN}
Line = tuple[Item, Sequence[str]]  # an Item, and the "Type/id"s written of it


def provenance(subject: UUID, lines: Sequence[Line], *, source: Source, now: datetime) -> Resource:
    """A Provenance of what these Items became. `lines`: Items and the "Type/id"s written of each."""
    targets = [*dict.fromkeys(name for _, names in lines for name in names), f"Patient/{subject}"]
    organization, code = source.organization, source.organization.code
    original = {"identifier": {"system": systems.OWN_SHA256, "value": source.sha256}}
    said = places((item for item, _ in lines), source.numbers)
    system = systems.OWN_MUNICIPALITY if organization.kind == "municipality" else systems.INSTITUTION_10
    return {
        "resourceType": "Provenance",
        "id": str(uuid4()),
        # A Provenance has no subject of its own: R4 puts it in a patient's compartment by a target that is the Patient.
        "target": [{"reference": target} for target in targets],
        "recorded": now.isoformat(timespec="seconds"),
        "agent": [
            _agent("author", {"identifier": {"system": system, "value": code}, "display": organization.name}),
            _agent("assembler", {"type": "Device", "display": "Tsumugi 紡", "identifier": _PRODUCT}),
        ],
        "entity": [{"role": "source", "what": original | {"display": said}}],
    }


def marked(resources: Iterable[Resource]) -> set[str]:
    """What bears a protective mark: its Provenance stands apart, since whoever must not see it must not hear of it."""
    return {
        f"{resource['resourceType']}/{resource['id']}"
        for resource in resources
        if any(label.get("system") == systems.OWN_MARK for label in resource.get("meta", {}).get("security", ()))
    }


def only(lines: Iterable[Line], names: set[str], *, within: bool) -> list[Line]:
    """The lines of which something written is among these names, or not among them."""
    found = [(item, [name for name in written if (name in names) is within]) for item, written in lines]
    return [(item, written) for item, written in found if written]


def places(items: Iterable[Item], numbers: Mapping[str, int]) -> str:
    """ "3,5-8", or "part 2: 3,5-8" where there are several pieces: the lines, as far as there is room.

    Never a piece's name: whoever is in the file reads this, and a name may be somebody else's.
    """
    by_piece: dict[int, list[int]] = {}
    for item in items:
        by_piece.setdefault(numbers.get(item.piece, 0), []).append(item.line)
    parts = [(f"part {n}: " if n else "", _ranges(sorted(set(lines)))) for n, lines in sorted(by_piece.items())]
    said = "; ".join(f"{part}{lines}" for part, lines in parts)
    return said if len(said) <= MOST_SAID else said[: MOST_SAID - 1] + "…"


def _ranges(numbers: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def _agent(kind: str, who: Resource) -> Resource:
    return {"type": {"coding": [{"system": PARTICIPANT, "code": kind}]}, "who": who}
