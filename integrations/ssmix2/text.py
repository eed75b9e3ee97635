"""Bytes of a message → text. Pure.

SS-MIX2 writes ISO-2022-JP (MSH-18 `~ISO IR87`): ASCII and JIS X 0208, in practice with NEC row 13 (①, ㈱), half-width
kana and JIS X 0212 too, which Python's own codec does not take. So runs of two bytes are shifted to Shift_JIS and read
as cp932. The bytes of `| ^ ~ \\ &` occur inside kanji: decode before splitting.
Source: SS-MIX2 guideline 1.2h, 文字コード; JIS X 0202.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from integrations.problems import Unreadable
from integrations.ssmix2.wording import say

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
_STEP = re.compile(rb"\x1b(?:\(B|\(J|\(I|\$@|\$B|\$\(D)|\r")
_PAIR = re.compile(rb"[\x21-\x7e]{2}")
_PAIRS = re.compile(rb"(?:[\x21-\x7e]{2})+\Z")
_ASCII, _KANA, _KANJI, _MORE = b"\x1b(B", b"\x1b(I", b"\x1b$B", b"\x1b$(D"
_MODE = {b"\r": _ASCII, b"\x1b(J": _ASCII, b"\x1b$@": _KANJI}

# Two decoders of one character: told apart by nobody who reads it, so one of them is kept (that of cp932).
_FOLD = str.maketrans({
    "−": "－", "〜": "～", "‖": "∥", "—": "―", "¢": "￠", "£": "￡", "¬": "￢",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """`broken`: numbers (from 1) of the segments that hold bytes which are no characters; `UNREADABLE` stands there."""

    text: str
    broken: tuple[int, ...] = ()


def to_text(data: bytes) -> Text:
    """The text of a message by the character set its own header names. Raises Unreadable for bytes of another one."""
    if declares_utf8(data):
        try:
            return Text(data.decode("utf-8").translate(_FOLD))
        except UnicodeDecodeError:
            raise Unreadable([say("wrong-encoding")]) from None
    if not data.isascii():
        raise Unreadable([say("wrong-encoding")])
    return _of_7_bits(data)


def declares_utf8(data: bytes) -> bool:
    """Whether MSH-18 says so: `UNICODE UTF-8` (HL7 table 0211). The header itself is ASCII in every set."""
    header = data.split(b"\r", 1)[0]
    separator = header[3:4]
    fields = header.split(separator) if separator else []
    return len(fields) > 17 and b"UTF-8" in fields[17].upper()


def _of_7_bits(data: bytes) -> Text:
    if b"\x1b" not in data:
        return Text(data.decode("ascii"))
    out, broken, mode, line, at = [], [], _ASCII, 1, 0
    for step in (*_STEP.finditer(data), None):
        text = _run(data[at : step.start() if step else len(data)], mode)
        if UNREADABLE in text:
            broken.append(line)
        out.append(text)
        if step:
            at, mode = step.end(), _MODE.get(step[0], step[0])
            if step[0] == b"\r":  # back to ASCII, even when the writer left the escape open
                out.append("\r")
                line += 1
    return Text("".join(out).translate(_FOLD), tuple(dict.fromkeys(broken)))


def _run(run: bytes, mode: bytes) -> str:
    """One run of bytes in one set."""
    if mode == _ASCII or not run:
        return run.decode("ascii").replace("\x1b", UNREADABLE)
    if mode == _KANA:  # 7 bits: the eighth is set
        return bytes(b | 0x80 if 0x21 <= b <= 0x5F else b for b in run).decode("cp932", "replace")
    if mode == _MORE:
        return (_MORE + run + _ASCII).decode("iso2022_jp_ext", "replace")
    if _PAIRS.match(run):
        try:
            return _shifted(run).decode("cp932")
        except UnicodeDecodeError:
            pass
    return "".join(_piece(piece) for piece in _pieces(run))


def _pieces(run: bytes) -> list[bytes]:
    """Pairs, and single bytes that are none (a blank inside kanji)."""
    found, at = [], 0
    while at < len(run):
        size = 2 if _PAIR.match(run, at) else 1
        found.append(run[at : at + size])
        at += size
    return found


def _piece(piece: bytes) -> str:
    if len(piece) == 2:
        return _shifted(piece).decode("cp932", "replace")
    return piece.decode("ascii") if piece in (b" ", b"\t", b"\n") else UNREADABLE


def _shifted(pairs: bytes) -> bytes:
    """Pairs of JIS X 0208 as Shift_JIS."""
    shifted = bytearray(len(pairs))
    for at in range(0, len(pairs), 2):
        high, low = pairs[at], pairs[at + 1]
        shifted[at] = (high + 1) // 2 + (0x70 if high < 0x5F else 0xB0)
        shifted[at + 1] = low + (0x1F if low < 0x60 else 0x20) if high % 2 else low + 0x7E
    return bytes(shifted)
