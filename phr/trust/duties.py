"""The duties of an information trust that this service answers for, by their ids: Japanese, English.

Source: guideline for the certification of information-trust functions (情報信託機能の認定に係る指針 ver3.0), PHR basic
guideline, APPI; guardianship from the Civil Code and the rules of 支援措置.
"""

from __future__ import annotations

from typing import TypeAlias

Duty: TypeAlias = tuple[str, str]

IT: dict[str, Duty] = {
    "01": ("約款の版を定めて委任を受け、以後の行為をその版に結び付ける", "Mandate on one version of the terms"),
    "02": ("同意の記載事項がそろい、示され、受領書が出る", "Consent says all it must, and is shown and receipted"),
    "03": ("包括的同意の限界と、提供先が加わる時の通知・待機", "Comprehensive consent: limits, notice, waiting period"),
    "04": ("提供先・目的・項目・期間などの条件を守る", "Conditions on every dimension hold"),
    "05": ("要配慮情報は明確な便益か公益性を要する", "Special-care data needs a clear benefit or public interest"),
    "06": ("同意しなくても不利益がない", "Refusing or withdrawing costs no function"),
    "07": ("提供ごとに妥当性を判断し、理由を残す", "Each provision is judged, with stored reasons"),
    "08": ("プロファイリングを示し、別に同意を得る", "Profiling is disclosed, with a yes of its own"),
    "09": ("自らの二次利用も本人の同意による", "Own secondary use rests on consent"),
    "10": ("提供の履歴を本人が見られる", "History of provisions for the person"),
    "11": ("いつでも全部・一部を撤回でき、直ちに効く", "Withdrawal, whole or in part, at once"),
    "12": ("一度で全てを止められる", "Stop everything"),
    "13": ("保有する情報と提供記録を電子的に開示する", "Electronic disclosure with provision records"),
    "14": ("訂正と、バックアップを含む消去", "Correction; erasure, backups included"),
    "15": ("持ち運びと、サービス終了への備え", "Portability, end of service"),
    "16": ("苦情の窓口", "Complaint desk"),
    "20": ("提供先の登録（契約・認定・期限）", "Registry of recipients"),
    "21": ("再提供の禁止", "Ban on re-provision"),
    "22": ("利用報告と消去証明", "Usage reports, deletion certificates"),
    "23": ("指示による別の信託への移転", "Trust-to-trust transfer on instruction"),
    "24": ("提供先の委託先は提供先とみなす", "A processor counts as its recipient"),
    "25": ("禁止された利用", "Prohibited uses"),
    "30": ("データ倫理審査会", "Data ethics board"),
    "31": ("年次の自己点検", "Yearly self-assessment"),
    "32": ("提供先での被害にもまず信託が応じる", "The trust answers to the person first"),
    "33": ("要配慮情報の漏えいの報告と通知", "A leak is told to the commission and the person"),
    "34": ("他の人の情報はその人の同意による", "Another's information only with the other's consent"),
    "40": ("第三者提供の記録", "Provider records"),
    "41": ("受領時の確認と記録", "Confirmation records"),
    "50": ("便益の明示", "Every active program states a benefit"),
    "51": ("便益の台帳", "Benefit ledger"),
}

G: dict[str, Duty] = {
    "01": ("妊娠の記録は母のもの", "The pregnancy's record is the mother's"),
    "02": ("出生時の最小の写し", "A minimal copy at birth"),
    "03": ("母子にまたがる記録は双方の許可", "What is about two needs both permits"),
    "04": ("保護者は確認を要する", "Guardianship is verified"),
    "05": ("父母は対等で、互いに見えない", "Parents are equal, and invisible to each other"),
    "06": ("保護者は互いを外せない。停止は職員が直ちに", "No guardian removes another; staff freeze at once"),
    "07": ("停止は静かに", "A freeze is silent"),
    "08": ("居場所の保護", "Place is protected"),
    "09": ("代理人一覧の再確認", "Proxies are shown and confirmed again"),
    "10": ("年齢の表", "The age table"),
    "11": ("誰にも読めない空白がない", "No dead zone"),
    "12": ("未成年者の受診の秘密", "Confidential encounters of minors"),
    "13": ("児童保護の印は見えない", "Child-protection marks are never visible"),
    "14": ("共同で行うこと", "Joint acts"),
    "15": ("意見の違いでは拒否が優先", "Guardians disagree: deny wins"),
    "16": ("成年への引き継ぎ", "Hand-over at adulthood"),
    "17": ("誰として行うかを明らかに", "Acting-as is explicit"),
    "18": ("成人の代理人", "Adult proxies"),
    "19": ("養子・里親・後見", "Adoption, foster, appointed guardians"),
    "20": ("死亡", "Death"),
}


def duties() -> dict[str, Duty]:
    """All of them: "IT-01" …, "G-20"."""
    return {f"IT-{n}": duty for n, duty in IT.items()} | {f"G-{n}": duty for n, duty in G.items()}
