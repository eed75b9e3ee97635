"""What a consent says, in words: one text in Japanese, one in English, the same for the same consent. Pure.

The text is kept by its hash, so wordings are never changed: a new one gets the next `EDITION` and stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from consent import rules
from consent.scope import Clause

EDITION = 1
LOCALES = ("ja", "en")
JA, EN = 0, 1

CATEGORIES: Mapping[str, tuple[str, str]] = {
    "HOME": ("家庭での測定", "home measurements"),
    "IDENTITY": ("氏名・生年月日など", "identity"),
    "PREGNANCY": ("妊婦健診", "pregnancy check-ups"),
    "BIRTH": ("出産", "birth"),
    "NEWBORN": ("新生児の検査", "newborn screening"),
    "GROWTH": ("成長の記録", "growth"),
    "CHECKUP": ("乳幼児健診", "infant check-ups"),
    "SCHOOL": ("学校健診", "school check-ups"),
    "IMMUNIZATION": ("予防接種", "immunizations"),
    "MEDICATION": ("薬", "medication"),
    "ALLERGY": ("アレルギー", "allergies"),
    "PROBLEM": ("病名・症状", "problems"),
    "LABORATORY": ("検査結果", "laboratory results"),
    "VITAL": ("血圧・体温など", "vital signs"),
    "IMAGING": ("画像検査", "imaging"),
    "PROCEDURE": ("処置・手術", "procedures"),
    "CARE": ("受診・予約", "visits and appointments"),
    "DENTAL": ("歯科", "dental care"),
    "ADMINISTRATIVE": ("手続きの記録", "administrative records"),
    "PSY": ("こころの健康", "mental health"),
    "SDV": ("暴力・虐待", "violence and maltreatment"),
    "HIV": ("HIV", "HIV"),
    "STI": ("性感染症", "sexually transmitted infections"),
    "GDIS": ("遺伝", "genetics"),
    "LOSS": ("流産・死産・中絶", "pregnancy loss"),
    "SUD": ("喫煙・飲酒・薬物", "smoking, alcohol, drugs"),
    "INFECTION": ("肝炎などの感染症", "hepatitis and other infections"),
    "FAMILY": ("家計・介護の事情", "family circumstances"),
    "INSURANCE": ("保険", "insurance"),
    "UNCLASSIFIED": ("分類できないもの", "what could not be classified"),
}
PURPOSES: Mapping[str, tuple[str, str]] = {
    "TREAT": ("診療", "treatment"),
    "ETREAT": ("救急の診療", "emergency treatment"),
    "BTG": ("緊急時の閲覧", "emergency access"),
    "HPAYMT": ("医療費の支払い", "payment for care"),
    "HOPERAT": ("医療機関の運営", "operations of the provider"),
    "PATRQT": ("本人の求め", "the person's request"),
    "FAMRQT": ("家族の求め", "the family's request"),
    "PUBHLTH": ("公衆衛生", "public health"),
    "HRESCH": ("研究", "research"),
    "PATADMIN": ("名寄せ", "linking identities"),
}
CLASSES: Mapping[str, tuple[str, str]] = {
    "clinic": ("診療所", "clinics"),
    "hospital": ("病院", "hospitals"),
    "pharmacy": ("薬局", "pharmacies"),
    "municipality": ("市区町村", "municipalities"),
    "school": ("学校", "schools"),
    "ambulance": ("救急", "ambulance services"),
    "research": ("研究機関", "research institutions"),
    "operator": ("運営者", "the operator"),
    "third-party": ("本人と保護者以外のすべて", "everybody but the person and her guardians"),
}
ACTIONS: Mapping[str, tuple[str, str]] = {
    "access": ("見る", "read"),
    "collect": ("追加する", "add"),
    "correct": ("直す", "change"),
    "disclose": ("渡す", "disclose"),
}
USES: Mapping[str, tuple[str, str]] = {
    "self-benefit": ("本人への便益", "for the person's own benefit"),
    "public-interest": ("公益のため", "in the public interest"),
}
CAPACITIES: Mapping[str, tuple[str, str]] = {
    "self": ("本人", "the person herself"),
    "guardian": ("保護者", "a guardian"),
    "": ("まだだれも同意していません", "nobody yet"),
}
_ANY = ("指定なし", "any")


def lines(root: Clause, names: Mapping[str, str], locale: str) -> list[str]:
    """The tree in words, one line per Clause, each below the one it is an exception to. `names`: of the actors."""
    return list(_lines(root, names, EN if locale == "en" else JA, 0))


def _lines(clause: Clause, names: Mapping[str, str], at: int, depth: int) -> Iterator[str]:
    verb = (("許可", "permit"), ("拒否", "deny"))[0 if clause.permit else 1][at]
    parts = [f"{head[at]}: {told}" for head, told in _parts(clause, names, at)]
    body = ("、", "; ")[at].join(parts) or ("すべて", "everything")[at]
    lead = (("ただし ", "except ")[at]) if depth else ""
    yield f"{'  ' * depth}{lead}{verb} — {body}"
    for child in clause.clauses:
        yield from _lines(child, names, at, depth + 1)


def _parts(clause: Clause, names: Mapping[str, str], at: int) -> Iterator[tuple[tuple[str, str], str]]:
    if clause.actors is not None:
        yield ("相手", "who"), _joined([actor_name(a, names, at) for a in sorted(clause.actors)], at)
    for head, values, table in (
        (("目的", "purpose"), clause.purposes, PURPOSES),
        (("すること", "to do"), clause.actions, ACTIONS),
        (("項目", "data"), clause.categories, CATEGORIES),
        (("機微な項目", "sensitive data"), clause.labels, CATEGORIES),
    ):
        if values is not None:
            yield head, _joined([table[v][at] if v in table else v for v in sorted(values)], at)
    if clause.level is not None:
        yield ("機微の段階", "sensitivity"), str(clause.level)
    if clause.data_low or clause.data_high:
        yield ("データの期間", "data from"), period(clause.data_low, clause.data_high)
    if clause.authors is not None:
        told = [actor_name(f"org:{author}", names, at) for author in sorted(clause.authors)]
        yield ("記録した機関", "written by"), _joined(told, at)
    if clause.items is not None:
        yield ("個別の記録", "single records"), _joined(sorted(clause.items), at)
    if clause.valid_from or clause.valid_to:
        yield ("有効期間", "valid"), period(clause.valid_from, clause.valid_to)


def actor_name(actor: str, names: Mapping[str, str], at: int) -> str:
    """What somebody is called: as registered when it was given, a class by its own words."""
    kind, _, name = actor.partition(":")
    if kind == "class" and name in CLASSES:
        return CLASSES[name][at]
    return names.get(actor, actor)


def period(low: datetime | None, high: datetime | None) -> str:
    """Days in Japan, both ends named; the end is not part of it."""
    return " – ".join("" if end is None else _moment(end) for end in (low, high)).strip()


def _moment(instant: datetime) -> str:
    try:
        return f"{instant.astimezone(rules.JST):%Y-%m-%d %H:%M}"
    except OverflowError:  # a proposal may name the end of time
        return instant.isoformat()


def _joined(values: list[str], at: int) -> str:
    return ("・", ", ")[at].join(values) or _ANY[at]


def yes_no(value: bool, at: int) -> str:
    return (("はい", "yes"), ("いいえ", "no"))[0 if value else 1][at]
