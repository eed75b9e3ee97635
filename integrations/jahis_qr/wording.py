"""Every problem this connector can report: code -> severity, Japanese, English. `{…}` take places, never values."""

from __future__ import annotations

from integrations.problems import Problem, Severity

WORDING: dict[str, tuple[Severity, str, str]] = {
    # Nothing can be read.
    "empty": ("error", "内容が空です。", "There is nothing in it."),
    "too-large": ("error", "{limit} バイトを超えています。", "It is larger than {limit} bytes."),
    "too-many-lines": ("error", "{limit} 行を超えています。", "It has more than {limit} lines."),
    "not-jahistc": ("error", "1行目が電子版お薬手帳のヘッダー（JAHISTCnn,出力区分）ではありません。",
                    "The first line is not the header of a medication notebook (JAHISTCnn,output kind)."),
    "prescription-symbol": ("error", "これは院外処方箋2次元シンボル（JAHISn）です。お薬手帳のQRコードではないため取り込めません。",
                            "This is an outpatient prescription symbol (JAHISn), not a medication notebook: "
                            "it is not imported."),
    "patient-missing": ("error", "患者情報（レコード1）がないため、だれの記録か確かめられません。",
                        "Record 1 (patient) is missing, so it cannot be told whose record this is."),
    "patient-twice": ("error", "患者情報（レコード1）が一致しない2人分あります。", "Record 1 names two different patients."),
    # A dispensing group, or an over-the-counter medicine, cannot be used.
    "no-group": ("error", "最初の調剤等年月日（レコード5）より前に レコード{number} があります。",
                 "Record {number} stands before the first dispensing date (record 5)."),
    "no-drug": ("error", "レコード{number} の前に薬品（レコード201）がありません。",
                "Record {number} has no drug (record 201) before it."),
    "no-usage": ("error", "この薬品のRP番号の用法（レコード301）がありません。",
                 "There is no usage (record 301) for the RP number of this drug."),
    "no-otc": ("error", "この成分（レコード31）の要指導・一般用医薬品（レコード3）がありません。",
               "There is no over-the-counter drug (record 3) with the serial number of this ingredient (record 31)."),
    "group-too-large": ("error", "1回の調剤が {limit} 行を超えています。", "One dispensing has more than {limit} lines."),
    "missing": ("error", "{name} がありません。", "{name} is missing."),
    "bad-date": ("error", "{name} が日付として読めません。", "{name} is not a date."),
    "group-set-aside": ("warning", "この行から始まる調剤は誤りがあるため取り込みません。ほかの調剤は取り込みます。",
                        "The dispensing that starts here has errors and is left out; the others are imported."),
    # Read, with a remark.
    "unknown-version": ("warning", "版番号 {version} は公開されていません。読める範囲で取り込みます。",
                        "Version {version} is not a published one; it is read as far as possible."),
    "unknown-record": ("warning", "レコード番号 {number} は知られていません。元のデータだけを保管します。",
                       "Record number {number} is unknown; it is kept in the original only."),
    "not-a-record": ("warning", "レコード番号のない行です。元のデータだけを保管します。",
                     "The line has no record number; it is kept in the original only."),
    "undecodable": ("warning", "文字として読めないバイトがあります。", "Some bytes are not characters."),
    "control-character": ("warning", "制御文字があります。", "It holds control characters."),
    "expected": ("warning", "{name} がありません。", "{name} is missing."),
    "too-long": ("warning", "{name} が {limit} バイトを超えています。", "{name} is longer than {limit} bytes."),
    "wrong-type": ("warning", "{name} の文字種が規格と異なります。", "{name} holds characters its type does not allow."),
    "unknown-code": ("warning", "{name} の値は規格にありません。", "{name} holds a code the standard does not have."),
    "odd-date": ("warning", "{name} が日付として読めません。", "{name} is not a date."),
    "surplus": ("warning", "規格にない項目が続いています。", "There are more fields than the standard has."),
    "twice": ("warning", "レコード{number} が2回あります。最初のものを使います。",
              "Record {number} is there twice; the first is used."),
    "no-rp": ("warning", "このRP番号の薬品（レコード201）がありません。", "There is no drug (record 201) with this RP number."),
    "prescription-layout": ("information", "薬品（レコード201）が処方箋の項目順です。読み替えました。",
                            "Record 201 has the field order of a prescription; it was read that way."),
    "strength-dose": ("warning", "用量が力価（成分量）で書かれているため、数量は取り込みません。",
                      "The dose is given as ingredient strength, so no quantity is taken from it."),
    "unknown-quantity": ("warning", "数量が分からないため、数量なしで取り込みます。",
                         "The quantity is unknown; the dispensing is imported without one."),
    "unusable-code": ("warning", "薬品コードの種別または桁数が規格と異なるため、名称だけを取り込みます。",
                      "The kind or length of the drug code is not the standard's; only the name is imported."),
    "unusable-institution": ("information", "医療機関コードがそろっていないため、名称だけを取り込みます。",
                             "The institution code is incomplete; only its name is imported."),
    "weight-unconfirmed": ("information", "体重は本人の確認なしには記録しません。",
                           "Body weight is not recorded unless the owner confirms it."),
    "nothing-new": ("warning", "取り込める記録がありません。", "There is nothing in it to import."),
    "more": ("warning", "ほかにもあります。はじめの {limit} 件だけを示します。",
             "There are more; only the first {limit} are shown."),
    # Parts.
    "no-parts": ("error", "読み取ったデータがありません。", "No parts were given."),
    "too-many-parts": ("error", "部品が {limit} 個を超えています。", "There are more than {limit} parts."),
    "mixed-parts": ("error", "別のお薬手帳データのQRコードが混ざっています。読み取り直してください。",
                    "The parts belong to different sets. Please scan again."),
    "part-conflict": ("error", "同じ連番で内容の異なるQRコードがあります。読み取り直してください。",
                      "Two parts have the same number and different content. Please scan again."),
    "bad-split": ("error", "分割制御（レコード911）が読めません。", "The split control (record 911) cannot be read."),
    "bad-index": ("error", "QRコードの連番または総数が正しくありません。", "The index or the total of a part is not valid."),
    "order-unknown": ("error", "QRコードの順序が決められません。1枚目から順に読み取り直してください。",
                      "The order of the parts cannot be told. Please scan again, in order."),
    "part-twice": ("information", "同じQRコードが2回あります。", "The same part was given twice."),
    # Whose record.
    "name-differs": ("error", "氏名が取り込み先の人と一致しません。", "The name is not that of the person it is to go to."),
    "gender-differs": ("error", "性別が取り込み先の人と一致しません。", "The sex is not that of the person it is to go to."),
    "birth-differs": ("error", "生年月日が取り込み先の人と一致しません。",
                      "The date of birth is not that of the person it is to go to."),
}  # fmt: skip


def say(
    code: str, *, line: int | None = None, field: int | None = None, part: int | None = None, **words: object
) -> Problem:
    """The problem with this code, at this place."""
    severity, ja, en = WORDING[code]
    return Problem(severity, code, ja.format(**words), en.format(**words), line, field, part)
