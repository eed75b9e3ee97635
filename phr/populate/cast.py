"""The demo family and those around it: fixed, invented, the same everywhere (demo, tests, screenshots)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from phr.populate.facilities import make
from phr.populate.people import Human

# Subject ids = Patient ids. The first four bytes spell the name.
YUKI = UUID("59756b69-0000-8000-8000-000000000001")
ICHIRO = UUID("49636869-0000-8000-8000-000000000002")
HANA = UUID("48616e61-0000-8000-8000-000000000003")
REN = UUID("52656e20-0000-8000-8000-000000000004")


def _human(id: UUID, username: str, given: str, kana: str, sex: str, birth_on: date, number: str) -> Human:
    return Human(str(id), username, "見本", "ミホン", given, kana, sex, birth_on, number)


MOTHER = _human(YUKI, "yuki", "雪", "ユキ", "female", date(1992, 2, 3), "990000000001")
FATHER = _human(ICHIRO, "ichiro", "一郎", "イチロウ", "male", date(1990, 8, 20), "990000000002")
DAUGHTER = _human(HANA, "", "花", "ハナ", "female", date(2018, 12, 10), "990000000003")
BABY = _human(REN, "", "蓮", "レン", "male", date(2026, 1, 5), "990000000004")
SUBJECTS = (MOTHER, FATHER, DAUGHTER, BABY)
CHILDREN = (DAUGHTER, BABY)

OBSTETRIC = make("9919000001", "clinic", "見本産婦人科クリニック", "見本市")
PAEDIATRIC = make("9919000003", "clinic", "例示こどもクリニック", "見本市")
PHARMACY = make("9949000005", "pharmacy", "見本薬局 駅前店", "見本市")
SCHOOL = make("9979000007", "school", "見本市立見本小学校", "見本市")
CITY_A = make("999001", "municipality", "見本市", "見本市")
CITY_B = make("999002", "municipality", "例示市", "例示市")
AMBULANCE = make("9999000008", "ambulance", "見本市消防局 救急隊", "見本市")
RESEARCH = make("9999000009", "research", "見本大学 母子保健研究室", "見本市")
FACILITIES = (OBSTETRIC, PAEDIATRIC, PHARMACY, SCHOOL, CITY_A, CITY_B, AMBULANCE, RESEARCH)


@dataclass(frozen=True, slots=True)
class Cast:
    """Somebody of the demo who signs in. `works_at`: code of a facility; `role`: who that is, for the welcome text."""

    username: str
    name: str
    kana: str
    role: str
    own: UUID | None = None
    works_at: str | None = None


CAST = (
    Cast("yuki", MOTHER.name, MOTHER.kana, "母 / mother of Hana (7) and Ren (baby)", own=YUKI),
    Cast("ichiro", FATHER.name, FATHER.kana, "父 / father", own=ICHIRO),
    Cast("mei", "見本 芽衣", "ミホン メイ", "叔母、権限なし / aunt, no authority"),
    Cast("ken", "養護 健", "ヨウゴ ケン", "養護教諭 / school nurse", works_at=SCHOOL.code),
    Cast("mori", "森 例子", "モリ レイコ", "産科医 / obstetrician", works_at=OBSTETRIC.code),
    Cast("kodama", "児玉 例", "コダマ レイ", "小児科医 / paediatrician", works_at=PAEDIATRIC.code),
    Cast("abe", "安部 例太", "アベ レイタ", "薬剤師 / pharmacist", works_at=PHARMACY.code),
    Cast("sato", "佐藤 例美", "サトウ レイミ", "見本市 職員 / officer of city A", works_at=CITY_A.code),
    Cast("kondo", "近藤 例", "コンドウ レイ", "例示市 職員 / officer of city B", works_at=CITY_B.code),
    Cast("ueda", "上田 例人", "ウエダ レイト", "研究者 / researcher", works_at=RESEARCH.code),
    Cast("hata", "秦 例介", "ハタ レイスケ", "救急隊員 / ambulance crew", works_at=AMBULANCE.code),
)
