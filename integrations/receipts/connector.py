"""医科 (RECEIPTC.UKE) and 調剤 (RECEIPTY.CYO) receipts as a feed: one Item per receipt. See README.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from django.conf import settings

from integrations.items import About, Identity, Item, Mapped, Piece
from integrations.problems import Problem, Unreadable
from integrations.receipts import mapping
from integrations.receipts.masters import NONE, Masters, load
from integrations.receipts.parse import Receipt, Sender, receipts
from integrations.receipts.rows import Row, when
from integrations.receipts.shapes import KIND
from integrations.receipts.table import FIELDS, Form
from integrations.receipts.wording import say
from phr.records import systems

__all__ = ["KEEPS_ORIGINAL", "KIND", "MAX_BYTES", "NEEDS", "SENDERS", "WAITS", "items", "profiles", "resources"]

MAX_BYTES = 512 << 20
NEEDS = "MedicationDispense"
SENDERS = frozenset({"clinic", "hospital", "pharmacy"})
WAITS = False  # a file holds many people: of those nobody linked, nothing is kept
KEEPS_ORIGINAL = False

PUBLIC_MEMBER = f"{systems.OWN}/NamingSystem/public-expense-member"
_GENDERS = {"1": "male", "2": "female"}
_READ_ON = frozenset({"HO", "KO", "SN", "SY", "SI", "IY", "TO", "CO", "SH", "CZ"})


def profiles() -> Mapping[str, str]:
    return {}


def items(pieces: Iterable[Piece], *, profile: str, code: str) -> Iterator[Item | Problem]:
    """Every receipt of every file. Raises Unreadable for what is no receipt file, or another institution's."""
    seen: Counter[bytes] = Counter()
    edition = masters().edition
    for piece in pieces:
        for found in receipts(piece.stream):
            if isinstance(found, Problem):
                yield found
                continue
            _own(found.sender, code, found.head)
            yield _item(found, piece.name, seen, edition)


def _own(sender: Sender, code: str, head: Row) -> None:
    """An institution brings in its own claims: its ten digits are its code here. Raises Unreadable."""
    if sender.code != code:
        raise Unreadable([say("other-institution", line=head.line)])


def _item(receipt: Receipt, piece: str, seen: Counter[bytes], edition: str) -> Item:
    """`key`: institution, month of care, person, in or out, who prescribed, position among equals in this input."""
    form, head = receipt.sender.form, receipt.head
    identity, problems = _identity(receipt), list(receipt.problems)
    if not identity.birth_date:
        problems.append(say("bad-birth-date", line=head.line, field=6))
    key = "|".join((form, receipt.sender.code, receipt.month, identity.system, identity.value, *_apart(receipt)))
    short = blake2b(key.encode(), digest_size=8).digest()  # a file of a million receipts stays small
    seen[short] += 1
    # Lines count from RE on, so that moving within a file changes nothing.
    rows = [[r.line - head.line, r.record, list(r.fields)] for r in receipt.rows if r.record in _READ_ON]
    content = {"form": form, "month": receipt.month, "masters": edition, "rows": [[0, "RE", _kept(head, form)], *rows]}
    return Item(
        key=f"{key}|{seen[short]}", identity=identity, content=content, line=head.line, piece=piece,
        said_at=receipt.sender.claimed, problems=tuple(problems),
    )  # fmt: skip


def _apart(receipt: Receipt) -> tuple[str, ...]:
    """What tells two receipts of one person and month apart: a stay in hospital (医科), who prescribed (調剤)."""
    head = receipt.head
    if receipt.sender.form == "medical":
        kind = head.get("レセプト種別", "medical")[-1:]
        return ("in" if kind in ("1", "3", "5", "7", "9") else "out",)
    return tuple(head.get(name, "dispensing") for name in ("医療機関都道府県", "医療機関点数表", "医療機関コード"))


def _kept(head: Row, form: Form) -> list[str]:
    """Of RE only who prescribed (調剤): name, sex and birth date are compared, not kept."""
    names = [name for name in FIELDS[form]["RE"] if name == "医療機関名称" or name.startswith("保険医氏名")]
    kept = {FIELDS[form]["RE"][name] for name in names}
    return [text if place in kept else "" for place, text in enumerate(head.fields)] if form == "dispensing" else []


def _identity(receipt: Receipt) -> Identity:
    """カルテ番号 where there is one (the clinic's own number); else the insured person; else who gets public aid."""
    form, head = receipt.sender.form, receipt.head
    chart = head.get("カルテ番号等", form) if form == "medical" else ""
    member, public = mapping.member_id(receipt.rows, form), mapping.public_id(receipt.rows, form)
    if chart:
        system, value = f"{systems.PATIENT_AT_INSTITUTION}{receipt.sender.code}", chart
    elif member:
        system, value = systems.MEMBER_ID, member
    else:
        system, value = PUBLIC_MEMBER, public
    born = when(head.get("生年月日", form))
    return Identity(
        system=system, value=value, name=head.get("氏名", form), kana=head.get("カタカナ氏名", form),
        birth_date=born if len(born) == 10 else "", gender=_GENDERS.get(head.get("男女区分", form), ""),
    )  # fmt: skip


def resources(item: Item, *, about: About) -> Mapped:
    """One receipt as FHIR. Lines of problems are those of the file."""
    mapped = mapping.map_receipt(item.content, key=item.key, about=about, masters=masters())
    return Mapped(mapped.resources, tuple(_placed(problem, item.line) for problem in mapped.problems))


def _placed(problem: Problem, first: int) -> Problem:
    return problem if problem.line is None else replace(problem, line=problem.line + first)


def masters() -> Masters:
    """The masters in PHR_RECEIPT_MASTERS, read again when a file there changes; none without the setting."""
    folder = settings.PHR_RECEIPT_MASTERS
    if not folder:
        return NONE
    files = sorted(path for path in Path(folder).glob("*.csv") if path.is_file())
    return _loaded(tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@lru_cache(maxsize=2)
def _loaded(files: tuple[tuple[str, int, int], ...]) -> Masters:
    return load((Path(path).name, Path(path).read_bytes()) for path, _, _ in files)
