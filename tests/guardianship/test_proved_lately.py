"""What a desk does that cannot be undone, or opens something, needs a fresh proof of who does it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from consent.models import Guardianship, LegalHold
from phr.populate.cast import HANA
from phr.smart.models import Launch
from tests.family import Neighbourhood
from tests.guardianship.desk import done, link_of, person, post


def test_deeds_that_open_or_end_need_a_fresh_proof(family: Neighbourhood) -> None:
    link, officer = link_of("ichiro", HANA), family.officer
    doctor = family.app("obstetrician")
    hold = done(officer, "desk/holds/place", {"record": str(HANA), "kind": "litigation", "reason": "訴訟"})["id"]
    case = done(family.app("mother", patient="hana"), f"records/{HANA}/protection")["case"]
    Launch.objects.update(authenticated_at=timezone.now() - timedelta(hours=2))
    stale = {
        f"desk/guardianships/{link.pk}/end": (officer, {"reason": "x"}),
        f"desk/records/{HANA}/location": (officer, {"hidden": False, "reason": "ended"}),
        f"desk/protection-cases/{case}/close": (officer, {"outcome": "unfounded"}),
        f"desk/holds/{hold}/lift": (officer, {}),
        f"desk/persons/{person('mei').pk}/restore": (officer, {}),
        f"desk/records/{HANA}/marks/release": (doctor, {"items": ["Observation/x"]}),
    }
    for path, (app, given) in stale.items():
        answer = post(app, path, given)
        assert answer.status == 401, (path, answer)
        assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
    assert Guardianship.objects.get(pk=link.pk).state == "active"
    assert LegalHold.objects.get(pk=hold).lifted_at is None
    # to protect needs none
    done(officer, f"desk/records/{HANA}/location", {"hidden": True, "reason": "support-measure"})
    done(officer, f"desk/guardianships/{link.pk}/freeze", {"reason": "review"})
