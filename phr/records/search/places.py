"""`near`: places within a distance (FHIR R4 location.html §8.7.4). Pure.

A place stands in the index as a range whose ends are its latitude and longitude (degrees): a place of an
organisation is no one's secret. Distance is along a great circle on a sphere of 6,371 km.
"""

from __future__ import annotations

from math import cos, degrees, radians

from phr.records.scoping import SQL, Params
from phr.records.search.params import SearchParam
from phr.records.search.query import Near, kept_ids

RADIUS = 6_371_000.0  # metres


def within(asked: Near, param: SearchParam, r: str, p: Params) -> SQL:
    """The row `r` is a place within the distance; a box of latitude cuts off what is far for sure."""
    lat, lon = p(asked.latitude), p(asked.longitude)
    room = degrees(asked.metres / RADIUS) + 1e-6
    half = (
        f"power(sin(radians(x.low - {lat}) / 2), 2)"
        f" + {p(cos(radians(asked.latitude)))} * cos(radians(x.low)) * power(sin(radians(x.high - {lon}) / 2), 2)"
    )
    return (
        f"EXISTS (SELECT 1 FROM phr_range x WHERE x.resource_id = {r}.id"
        f" AND x.param = ANY({p(list(kept_ids(param)))}::smallint[])"
        f" AND x.low BETWEEN {p(asked.latitude - room)} AND {p(asked.latitude + room)}"
        f" AND 2 * {RADIUS} * asin(least(1, sqrt({half}))) <= {p(asked.metres)})"
    )
