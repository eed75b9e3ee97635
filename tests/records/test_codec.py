"""What was sealed once opens for ever: the compressed form of a body is a format of ours, not an implementation."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from phr.records import vault

BODY = (
    '{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.00,"unit":"kg"},"note":[{"text":"見本"}]}'
).encode()
# `vault.compress(BODY)` on the day codec 1 was settled. If this no longer opens, stored records do not either.
KEPT = bytes.fromhex(
    "0128b52ffd231c90b64c75350100782e30306b67227d2c226e6f227d5d7d06fc62640628a2e51b14250205b832e508983e451a04"
)
DICTIONARY = Path(vault.__file__).parent / "definitions" / "bodies-1.dict"


def test_the_dictionary_of_codec_1_never_changes() -> None:
    """A better dictionary is codec 2 in a file of its own, beside this one."""
    digest = "3cf8c1fb7e2b2ae1189311b462cf9500453e515d494c90b7e98dba87fb57705e"
    assert sha256(DICTIONARY.read_bytes()).hexdigest() == digest


def test_what_was_kept_opens() -> None:
    assert vault.decompress(KEPT) == BODY


@given(st.binary(max_size=4000))
def test_nothing_is_lost(body: bytes) -> None:
    assert vault.decompress(vault.compress(body)) == body


RAW = zstandard.ZstdCompressionDict(b'{"resourceType":"Observation"' * 40, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


@pytest.mark.parametrize(
    "packed",
    [
        b"", b"\x02" + KEPT[1:], KEPT[:1], KEPT[:-3], b"\x01" + zstandard.ZstdCompressor().compress(BODY),
        b"\x01" + zstandard.ZstdCompressor(dict_data=RAW, write_content_size=True).compress(BODY),
    ],
    ids=["empty", "codec 2", "no frame", "cut off", "no dictionary", "another dictionary"],
)  # fmt: skip
def test_another_form_is_named_and_never_read_as_something_else(packed: bytes) -> None:
    with pytest.raises(vault.CannotOpen):
        vault.decompress(packed)
