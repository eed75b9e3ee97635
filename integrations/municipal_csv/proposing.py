"""A sample file -> a first draft of its profile, as TOML with comments on what is uncertain. Pure.

Guessed are encoding, delimiter, rows of headers, the nearest standard layout, which header means what, date styles,
widths and sex codes. Nothing of a person's values is written: only codes of columns that hold few short ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice

from integrations.municipal_csv import catalogue
from integrations.municipal_csv import layout as layouts
from integrations.municipal_csv import profile as profiles
from integrations.municipal_csv.catalogue import plain
from integrations.municipal_csv.profile import Profile
from integrations.municipal_csv.wording import say
from integrations.problems import Unreadable
from integrations.tabular import reading
from integrations.tabular.dates import STYLES, Style, day
from integrations.tabular.my_numbers import Watch, refuse_headers
from integrations.tabular.reading import Record

MOST_ROWS = 2000
MOST_BYTES = 4 << 20
CHECK = "確認 check"
_STYLES: tuple[Style, ...] = (*STYLES, "excel")
_OPTIONAL = ("correction", "not_disclosed")
_SEXES = {"1": "male", "2": "female", "男": "male", "女": "female", "M": "male", "F": "female", "0": "unknown",
          "9": "other"}  # fmt: skip
_CODED = ("judge", "judge.support")


@dataclass(frozen=True, slots=True)
class Sample:
    """What a file looks like. `columns`: the values of each column, without those of the header rows."""

    encoding: str
    delimiter: str
    header_rows: int
    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    broken: int


@dataclass(slots=True)
class Draft:
    """The layout it is nearest to, and which column stands for which of its places; `unsure`: by likeness only."""

    base: Profile
    places: dict[str, int] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)


def propose(content: bytes, *, id: str) -> str:
    """The profile as TOML. Raises Unreadable: nothing in it, no encoding fits, or a column of 個人番号."""
    sample = _sample(content)
    id = f"my-{id}" if id in profiles.standard() else id
    draft = max((_draft(sample, base) for base in profiles.standard().values()), key=_likeness)
    return _written(sample, draft, id)


# -- looking --------------------------------------------------------------------------------------------


def _sample(content: bytes) -> Sample:
    encoding = reading.guessed(content[: reading.BLOCK], whole=len(content) <= reading.BLOCK)
    if not encoding:
        raise Unreadable([say("no-encoding")])
    delimiter = _delimiter(content, encoding)
    found = islice(reading.records(BytesIO(content), declared=[encoding], delimiter=delimiter), MOST_ROWS)
    read = list(found)
    rows = [one for one in read if isinstance(one, Record)]
    if not rows:
        raise Unreadable([say("no-rows")])
    watch = Watch()
    for one in rows:
        watch.look(one)
    watch.refuse()
    header_rows = _header_rows(rows)
    headers = [row.fields for row in rows[:header_rows]]
    refuse_headers((cell for row in headers for cell in row), line=rows[0].line)
    width = Counter(len(row.fields) for row in rows).most_common(1)[0][0]
    body = [row.fields for row in rows[header_rows:] if len(row.fields) == width]
    columns = tuple(tuple(fields[n].strip() for fields in body) for n in range(width))
    broken = sum(not isinstance(one, Record) and one.severity == "error" for one in read)
    return Sample(encoding, delimiter, header_rows, layouts.names_of(headers, width), columns, broken)


def _delimiter(content: bytes, encoding: str) -> str:
    first = content[: reading.BLOCK].decode(encoding, "replace").splitlines()[:1]
    counts = Counter(c for c in (first[0] if first else "") if c in ",\t;|")
    return counts.most_common(1)[0][0] if counts else ","


def _header_rows(rows: Sequence[Record]) -> int:
    """0, 1 or 2: a header row holds words, no date and no number."""
    count = 0
    for row in rows[:2]:
        cells = [cell.strip() for cell in row.fields if cell.strip()]
        wordy = all(not re.search(r"\d{4,}", cell) and not cell.isdigit() for cell in cells)
        known = sum(plain(cell.rpartition("/")[2]) in _known_names() for cell in cells)
        if not wordy or (count == 1 and known < 2):
            break
        count += 1
    return count


def _known_names() -> Mapping[str, str]:
    """Every header the standard layouts know, folded."""
    return {
        plain(name): place
        for base in profiles.standard().values()
        for place, column in profiles.columns(base)
        for name in column.names
    }


# -- matching -------------------------------------------------------------------------------------------


def _draft(sample: Sample, base: Profile) -> Draft:
    """Headers that are the same first, then those of which one holds the other; each column and place once."""
    draft, free = Draft(base), dict(enumerate(map(plain, sample.names)))
    wanted = [(place, [plain(name) for name in column.names]) for place, column in profiles.columns(base)]
    for exact in (True, False):
        for place, names in wanted:
            if place in draft.places:
                continue
            found = next((n for n, header in free.items() if header and _same(header, names, exact=exact)), None)
            if found is None:
                continue
            draft.places[place] = found
            if exact:
                _leave(free, found, place)
            else:
                draft.unsure.add(place)
                del free[found]
    return draft


def _leave(free: dict[int, str], found: int, place: str) -> None:
    """A column may stand for several dates of tests, but for nothing else twice."""
    if not place.endswith(".date") or place == "event.date":
        free.pop(found, None)


def _same(header: str, names: Iterable[str], *, exact: bool) -> bool:
    short = header.rpartition("/")[2]
    if exact:
        return any(name in (header, short) for name in names)
    return any(len(name) >= 2 and len(short) >= 2 and (name in short or short in name) for name in names)


def _likeness(draft: Draft) -> tuple[int, int]:
    sure = [place for place in draft.places if place not in draft.unsure]
    needed = sum(place in draft.places for place in ("event.date", "vaccine.vaccine", "person.number"))
    return 2 * len(sure) + needed, len(draft.places)


# -- writing --------------------------------------------------------------------------------------------


def _written(sample: Sample, draft: Draft, id: str) -> str:
    base, matched = draft.base, len(set(draft.places.values()))
    lines = [
        f"# 提案 / proposed from a sample. {matched} / {len(sample.names)} columns look like {base.id}.",
        f"# 「{CHECK}」の行を確かめてください。Look at every line with this mark; then try a dry run.",
        *([f"# {sample.broken} rows of the sample could not be read. {CHECK}"] if sample.broken else []),
        f'extends = "{base.id}"  # {base.title}. {CHECK}',
        f'id = "{id}"',
        'version = "1"',
        f'title = "{id}"  # {CHECK}',
        f'encoding = ["{sample.encoding}"]',
        f"delimiter = {_text(sample.delimiter)}",
        f"header_rows = {sample.header_rows}",
        f"dates = [{', '.join(map(_text, _date_styles(sample, draft)))}]",
    ]
    lines += [f"{name} = false  # この列がありません / no such column. {CHECK}" for name in _absent(draft)]
    for section in ("person", "event", "vaccine", "items", *_OPTIONAL):
        lines += _section(sample, draft, section)
    lines += _sexes(sample, draft)
    for item in _CODED:
        lines += _codes(sample, draft, item)
    lines += _rest(sample, draft)
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{"".join(c if c.isprintable() else " " for c in escaped)}"'


def _absent(draft: Draft) -> list[str]:
    return [name for name in _OPTIONAL if name not in draft.places]


def _date_styles(sample: Sample, draft: Draft) -> list[Style]:
    """The styles in which the values of the date columns are written."""
    used: set[Style] = set()
    for place, index in draft.places.items():
        if place in ("event.date", "person.birth_date") or place.endswith(".date"):
            used |= {s for text in sample.columns[index] for s in _STYLES if text and day(text, (s,)).text}
    return [style for style in _STYLES if style in used] or list(STYLES)


def _section(sample: Sample, draft: Draft, section: str) -> list[str]:
    """Columns of a section that the layout would not find by itself, or whose width matters."""
    found: list[str] = []
    if sample.header_rows == 0:
        return _by_position(sample, draft, section)
    for place, index in draft.places.items():
        top, _, name = place.partition(".")
        if top != section or (section == "items" and not _is_item(name)):
            continue
        if section in _OPTIONAL:
            found.append(f"name = {_text(sample.names[index])}  # yes / no の値を {CHECK}")
        elif place == "person.number":
            found.append(_number(sample, index))
        elif place in draft.unsure or not _by_itself(sample, draft, place, index):
            mark = f"  # {CHECK}" if place in draft.unsure else ""
            found.append(f"{_key(name)}.name = {_text(sample.names[index])}{mark}")
    return ["", f"[{section}]", *found] if found else []


def _is_item(name: str) -> bool:
    return catalogue.item(name) is not None


def _key(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _by_itself(sample: Sample, draft: Draft, place: str, index: int) -> bool:
    column = dict(profiles.columns(draft.base))[place]
    return plain(sample.names[index]) in {plain(name) for name in column.names}


def _number(sample: Sample, index: int) -> str:
    """The local number, with its width where every value has the same."""
    widths = {len(text) for text in sample.columns[index] if text}
    name = _text(sample.names[index])
    if len(widths) == 1:
        return f"number = {{ replace = true, name = {name}, required = true, width = {widths.pop()} }}"
    return (
        f"number = {{ replace = true, name = {name}, required = true }}"
        f"  # 桁数がそろっていません。先頭の0が失われていませんか / widths differ: zeros lost? {CHECK}"
    )


def _by_position(sample: Sample, draft: Draft, section: str) -> list[str]:
    """Without headers nothing can be matched: the columns are listed, by position, to be filled in."""
    if section != "person":
        return []
    listed = [f"#   {n}: {_kind(values)}" for n, values in enumerate(sample.columns, start=1)]
    return [
        "",
        f"# 見出しがありません。列の位置（at）を書いてください / no headers: give positions (at). {CHECK}",
        *listed,
    ]


def _kind(values: Sequence[str]) -> str:
    """What a column holds, in kinds, never in values."""
    filled = [text for text in values if text]
    if not filled:
        return "空 / empty"
    if sum(bool(day(text, _STYLES).text) for text in filled) >= 0.8 * len(filled):
        return "日付 / dates"
    widths = sorted({len(text) for text in filled})
    digits = all(text.isdigit() for text in filled)
    return f"{'数字 / digits' if digits else '文字 / text'}, {widths[0]}-{widths[-1]} 文字"


def _sexes(sample: Sample, draft: Draft) -> list[str]:
    index = draft.places.get("person.sex")
    unknown = sorted({t for t in sample.columns[index] if t and len(t) <= 4} - set(_SEXES)) if index is not None else []
    if not 0 < len(unknown) <= 6:
        return []
    return ["", "[sexes]", *(f'{_text(code)} = "unknown"  # {CHECK}' for code in unknown)]


def _codes(sample: Sample, draft: Draft, item: str) -> list[str]:
    """The local codes of a judgement. What they mean is not guessed: `unknown` until somebody says it."""
    index, name = draft.places.get(f"items.{item}"), draft.base.items.get(item)
    if index is None or name is None or not name.codes or f"items.{item}" in draft.unsure:
        return []
    found = sorted({text for text in sample.columns[index] if text})
    if not 0 < len(found) <= 12 or max(map(len, found)) > 8:
        return []
    target = "unknown" if item == "judge" else "?"
    codes = ", ".join(f"{_text(code)} = {_text(target)}" for code in found)
    return ["", f"[maps.{name.codes}]  # 意味を書いてください / say what each means. {CHECK}",
            "replace = true", 'version = "1"', f"codes = {{ {codes} }}"]  # fmt: skip


def _rest(sample: Sample, draft: Draft) -> list[str]:
    used = set(draft.places.values())
    rest = [name for n, name in enumerate(sample.names) if n not in used and name]
    if not rest or sample.header_rows == 0:
        return []
    listed = ", ".join(f"{{ name = {_text(name)} }}" for name in dict.fromkeys(rest))
    return ["", f"[free]  # 元の値のまま保管 (columns) か、取り込まない (ignore)。{CHECK}", f"columns = [{listed}]",
            "ignore = []", 'rest = "staff"']  # fmt: skip
