"""Invented, lifelike families, as data. Pure: no database, no clock, no network.

Family `number` of seed `seed` is a function of these two alone, so the same seed gives the
same bytes, in any order and on any number of processes. Everything happens before
`REFERENCE_ON`. Names, facilities, drugs and codes of facilities are visibly invented
(見本, 例示, prefecture 99); the rules they follow (schedules, percentiles) are real.
"""

from phr.populate.family import REFERENCE_ON, Family
from phr.populate.generate import families

__all__ = ["REFERENCE_ON", "Family", "families"]
