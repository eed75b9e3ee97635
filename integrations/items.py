"""What passes between the machinery and a feed: an input that names many people. Values only. Pure.

How a feed runs: `takes` keeps the sealed pieces as an ImportRun; a worker reads them as Items, finds whom each is about
(a cross-reference of local numbers; who is unknown waits for a person to link), lets the feed map them and commits them
in chunks. What came of an Item is kept under its key, so the same Item again changes nothing, a changed one becomes a
new version, and what it no longer says becomes entered-in-error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import IO, Any, Protocol
from uuid import UUID

from integrations.incoming import Resource
from integrations.problems import Problem


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of an input: its name as the source gave it (a path below the root, `/` between), and its bytes.

    `stream` is read once, forward, and never held whole by a feed that may get large files.
    """

    name: str
    stream: IO[bytes]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an Item is about, in the source's words. Demographics are compared, never stored in the record.

    `system`: URI of the local numbers; `value`: the number, as text, leading zeros kept ("" = the source gave none).
    `birth_date`: a FHIR date, perhaps partial; `gender`: a FHIR code; "" = not said. `not_disclosed`: 支援措置, 不開示.
    """

    system: str
    value: str
    name: str = ""
    kana: str = ""
    birth_date: str = ""
    gender: str = ""
    not_disclosed: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a source says about one person: a line, a message, a receipt.

    `key`: what stays the same when the source corrects it (form, local number, date …), unique within an organisation
    and kind. `content`: what the feed's `resources` needs: JSON values only, since it is sealed while the person is
    unknown. `said_at`: when the source said it, as text that sorts ("" = later in the file or a later file is newer);
    an older one never replaces a newer. `line` counts from 1 within `piece`.
    """

    key: str
    identity: Identity
    content: Mapping[str, Any]
    line: int
    piece: str = ""
    said_at: str = ""
    deleted: bool = False
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """For whom and from whom an Item is mapped. `code`: 10-digit 医療機関コード or 6-digit 団体コード of the sender."""

    subject: UUID
    organization: int
    code: str
    organization_name: str
    today: date


@dataclass(frozen=True, slots=True)
class Mapped:
    """What an Item becomes: resources under ids made by `integrations.ids.resource_id(type, code, kind, key, part)`,
    in an order in which references point backward, and what was noticed."""

    resources: list[Resource] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()


class Feed(Protocol):
    """One kind of input that names many people. A feed is a module (`integrations/<name>/connector.py`)."""

    KIND: str  # municipal-csv: in URLs and commands
    MAX_BYTES: int  # of all pieces together
    NEEDS: str  # the resource type whose `c` a token must carry to import at all
    SENDERS: frozenset[str]  # Organization.Kind values that may send it
    WAITS: bool  # whether what is about people not yet linked is kept, sealed, until somebody links them
    KEEPS_ORIGINAL: bool  # whether the sealed input stays for a while after the run, or goes with its end

    def profiles(self) -> Mapping[str, str]:
        """The source profiles one must choose from: name -> title for people; none = there is nothing to choose."""

    def items(self, pieces: Iterable[Piece], *, profile: str, code: str) -> Iterator[Item | Problem]:
        """Read the input, streaming, in the same order every time. Pure.

        A Problem stands for a line of which nothing can be used. Raises problems.Unreadable when nothing of the whole
        can be imported; whatever was given before that is not committed.
        """

    def resources(self, item: Item, *, about: About) -> Mapped:
        """Map one Item. Pure. Never raises for what an Item may hold: problems say what could not be mapped."""
