"""Scopes and roles in plain words, for the person who decides."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, pgettext

from consent.decide import Capacity
from phr.smart import scopes
from phr.smart.launches import Role
from phr.smart.scopes import Permission

_TYPES = {
    "*": gettext_noop("すべての記録"),
    "AllergyIntolerance": gettext_noop("アレルギー"),
    "Appointment": gettext_noop("予約"),
    "CarePlan": gettext_noop("ケアの計画"),
    "Condition": gettext_noop("病名・症状"),
    "Consent": gettext_noop("同意の記録"),
    "Coverage": gettext_noop("保険"),
    "DiagnosticReport": gettext_noop("検査の報告書"),
    "DocumentReference": gettext_noop("文書"),
    "Encounter": gettext_noop("受診"),
    "FamilyMemberHistory": gettext_noop("家族の病歴"),
    "Goal": gettext_noop("目標"),
    "ImagingStudy": gettext_noop("画像検査"),
    "Immunization": gettext_noop("予防接種"),
    "Medication": gettext_noop("薬の情報"),
    "MedicationAdministration": gettext_noop("投薬"),
    "MedicationDispense": gettext_noop("調剤（もらった薬）"),
    "MedicationRequest": gettext_noop("処方"),
    "MedicationStatement": gettext_noop("服薬の記録"),
    "Observation": gettext_noop("検査・測定の結果"),
    "Organization": gettext_noop("医療機関"),
    "Patient": gettext_noop("氏名・生年月日などの基本情報"),
    "Practitioner": gettext_noop("担当者"),
    "Procedure": gettext_noop("処置・手術"),
    "QuestionnaireResponse": gettext_noop("問診の回答"),
    "RelatedPerson": gettext_noop("家族・関係者"),
    "ServiceRequest": gettext_noop("検査などの依頼"),
}
_PLAIN = {
    "openid": gettext_noop("あなたがだれかを確かめる（ログインに使う）"),
    "fhirUser": gettext_noop("あなたがだれかを確かめる（ログインに使う）"),
    "profile": gettext_noop("あなたの名前を知る"),
    "offline_access": gettext_noop("アプリを開いていないときも使い続ける"),
    "trust.read": gettext_noop("あなたの同意・提供の履歴・お知らせを見る"),
    "trust.write": gettext_noop("あなたに代わって同意の変更や請求を出す"),
    "online_access": gettext_noop("アプリを開いている間、使い続ける"),
}
_VALUES = {
    "laboratory": gettext_noop("検体検査"),
    "vital-signs": gettext_noop("バイタルサイン（身長・体重・血圧など）"),
    "survey": gettext_noop("質問票"),
    "social-history": gettext_noop("生活の様子"),
    "imaging": gettext_noop("画像検査"),
}


def lines(granted: tuple[str, ...]) -> list[str]:
    """One sentence per thing the app may do; no scope is left out, none said twice."""
    told = [_PLAIN.get(scope) for scope in granted if scope in scopes.PLAIN]
    plain = [_(text) for text in told if text]
    return list(dict.fromkeys([*(_line(p) for p in scopes.parse(granted)), *plain]))


def _line(permission: Permission) -> str:
    what = _(_TYPES[permission.type]) if permission.type in _TYPES else permission.type
    verbs = pgettext("between verbs", "・").join(_verbs(permission.letters))
    sentence = _("%(what)sを%(verbs)s") % {"what": what, "verbs": verbs}
    if not permission.query:
        return sentence
    only = pgettext("between conditions", "、").join(_value(value) for _name, value in permission.query)
    return _("%(sentence)s（%(only)sだけ）") % {"sentence": sentence, "only": only}


def _verbs(letters: str) -> list[str]:
    verbs = [_("見る")] if set(letters) & set("rs") else []
    verbs += [_("追加する")] if "c" in letters else []
    verbs += [_("書きかえる")] if "u" in letters else []
    return verbs + ([_("消す")] if "d" in letters else [])


def _value(value: str) -> str:
    return pgettext("between choices", "・").join(
        _(_VALUES[code]) if code in _VALUES else code
        for code in (choice.rpartition("|")[2] for choice in value.split(","))
    )


def acting_as(role: Role) -> str:
    """In which role the person would act."""
    match role.capacity:
        case Capacity.SELF:
            return _("ご本人として")
        case Capacity.GUARDIAN:
            return _("保護者として")
        case Capacity.STAFF:
            return _("%(office)sの職員として") % {"office": role.organization}
    return _("任された人として") if role.subject else _("記録のない人として")
