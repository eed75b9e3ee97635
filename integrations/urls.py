"""Paths below /api."""

from django.urls import include, path
from django.views.decorators.http import require_safe

from integrations import family_number_views, feed_views, number_views, record_views, views
from integrations.fhir_peer import views as peers
from integrations.hl7 import views as hl7
from integrations.home import views as home
from integrations.school import views as school
from phr.fhir.door import door

urlpatterns = [
    path("trust/", include(record_views.urlpatterns)),
    path("trust/", include(family_number_views.urlpatterns)),
    path("peers", peers.peers, name="peers"),
    path("peers/jwks", require_safe(peers.jwks), name="peer-keys"),
    path("peers/links", door(POST=peers.link), name="peer-link"),
    path("peers/callback", peers.callback, name="peer-callback"),
    path("peers/<slug:code>/begin", peers.begin, name="peer-begin"),
    path("hl7", door(negotiate=hl7.acceptable, POST=hl7.take), name="hl7"),
    path("metrics", views.watched, name="metrics"),
    path("numbers", door(POST=number_views.link), name="link-number"),
    path("imports/<uuid:id>", door(GET=views.show), name="import"),
    path("imports/<uuid:id>/<slug:deed>", door(POST=feed_views.steer), name="steer-import"),
    path("questionnaires/<slug:name>", door(GET=school.questionnaire), name="questionnaire"),
    path("imports/home", door(POST=home.upload), name="home-upload"),
    path("imports/<slug:kind>", door(POST=views.start), name="start-import"),
]
