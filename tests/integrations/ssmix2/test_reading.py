"""Which files of a storage are taken, and which are set aside with what reason."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.problems import Unreadable
from integrations.ssmix2.mapping import to_resources
from integrations.ssmix2.reading import Source, of_file
from phr.records import systems
from tests.integrations.ssmix2.samples import ABOUT, CODE, sample, stored

SOURCE = Source(CODE)


def test_the_samples_that_contradict_themselves_are_set_aside_with_their_reason() -> None:
    reasons, told = {}, ""
    for path, data in stored():
        try:
            of_file(path, data, SOURCE)
        except Unreadable as error:
            reasons[path.rsplit("/", 2)[1] + path.split("/", 1)[0]] = [p.code for p in error.problems]
            told += "".join(p.ja + p.en for p in error.problems)
    assert "9999013" not in told
    assert reasons == {
        "ADT-31000": ["wrong-folder"], "OMP-11000": ["other-patient"], "ADT-61999": ["other-patient"],
        "OMP-11999": ["other-date"], "OMD999": ["other-patient"], "OMG-01999": ["other-patient"],
        "OMG-03999": ["other-patient"], "OMG-12999": ["other-patient"],
    }  # fmt: skip


def test_condition_flags() -> None:
    assert of_file(*sample("000000000000124_20260112101500000"), SOURCE) is None  # 2: superseded
    deleted = of_file(*sample("000000000000125_20260112110000000"), SOURCE)
    assert deleted is not None
    assert deleted.deleted
    assert to_resources(deleted, about=ABOUT).resources == []


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda path, data: (path, b""), ["quarantined", "empty"]),
        (lambda path, data: (path, data[:-9]), ["quarantined", "cut-off"]),
        (lambda path, data: (path, data.replace(b"9990001", b"9990002")), ["other-patient"]),
        (lambda path, data: (path, data.replace(b"OUL^R22", b"RDE^O11")), ["other-type"]),
        (lambda path, data: (path, data.replace(b"202601120930", b"202601130930")), ["other-date"]),
        (lambda path, data: (path.replace("/20260112/", "/20260113/"), data), ["wrong-folder"]),
        (lambda path, data: (path.replace("20260112", "20260232"), data), ["bad-date"]),
        (lambda path, data: ("999/000/notes.txt", data), ["not-a-message"]),
    ],
)
def test_a_file_that_contradicts_itself_is_refused_whole(change: Any, codes: list[str]) -> None:
    path, data = change(*sample("OML-11"))
    with pytest.raises(Unreadable) as caught:
        of_file(path, data, SOURCE)
    assert [problem.code for problem in caught.value.problems] == codes


def test_zeros_in_front_may_differ_where_the_source_is_known_for_it() -> None:
    path, data = sample("OML-11")
    padded = data.replace(b"|9990001^", b"|0009990001^")
    with pytest.raises(Unreadable):
        of_file(path, padded, SOURCE)
    taken = of_file(path, padded, Source(CODE, leading_zeros=True))
    assert taken is not None
    assert taken.identity.value == "9990001"


def test_the_identity_is_compared_and_never_stored() -> None:
    path, data = sample("ADT-00")
    taken = of_file(path, data, SOURCE)
    assert taken is not None
    who = taken.identity
    assert (who.system, who.value) == (systems.PATIENT_AT_INSTITUTION + CODE, "9990001")
    assert (who.name, who.kana, who.birth_date, who.gender) == ("見本 花子", "ミホン ハナコ", "1975-04-01", "female")
    told = str(taken.content) + str(to_resources(taken, about=ABOUT).resources)
    assert "花子" not in told
    assert "千代田" not in told
