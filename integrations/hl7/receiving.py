"""One message into the record, at once, and its answer: what MLLP and HTTP share.

AA is given when the transaction is committed, never before. The same message again meets what is known of it: it is
answered the same and stores nothing twice.
"""

from __future__ import annotations

import io
import logging
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import Error as DatabaseError

from consent.decide import Caller
from consent.models import Organization
from integrations import feeding, taking
from integrations.hl7 import connector
from integrations.hl7.answers import Answer, header_of, refusal, written
from integrations.hl7.wording import say
from integrations.items import Feed, Piece
from integrations.problems import Unreadable
from integrations.ssmix2.when import as_stamp, said_at
from integrations.storing import Busy
from phr.records.gateway import Forbidden, Refused
from phr.records.vault import CannotOpen

log = logging.getLogger(__name__)
AHEAD = timedelta(days=1)  # a sender's clock may go before ours
FEED: Feed = connector  # type: ignore[assignment]  # a module is a Feed by its names


def receive(data: bytes, *, organization: Organization, by: Caller, now: datetime, profile: str = "") -> Answer:
    """Keep what one message says, and commit. Raises nothing that a sender could help: it is told to send again."""
    if _is_ahead(data, now=now):
        return refusal([say("in-future", line=1, field=7)])
    try:
        outcome = feeding.deposit(
            FEED, [Piece("", io.BytesIO(data))], organization=organization, by=by, now=now, profile=profile
        )
    except Unreadable as error:
        return refusal(error.problems)
    except taking.TooLarge:
        return refusal([say("too-large", limit=connector.MAX_BYTES)])
    except (Forbidden, Refused, taking.UnknownProfile):
        return refusal([say("not-allowed")])
    except Busy:
        return refusal([say("busy")])
    except (DatabaseError, CannotOpen, OSError) as error:
        log.error("message not kept: %s", type(error).__name__)
        return refusal([say("not-now")])
    told = tuple(problem for result in outcome.results for problem in result.problems)
    if any(result.what == "refused" for result in outcome.results):
        return refusal(told)
    return Answer("AA", told)


def _is_ahead(data: bytes, *, now: datetime) -> bool:
    """Whether MSH-7 is a time to come: kept, it could not be put after or before what is known."""
    return said_at(header_of(data)[7](1))[:14] > as_stamp(now + AHEAD)


def acknowledged(data: bytes, answer: Answer, *, now: datetime) -> bytes:
    """The ACK to a message, as bytes."""
    return written(answer, data, now=now, number=uuid4().hex[:20])
