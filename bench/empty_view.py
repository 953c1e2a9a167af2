"""A Django view that does nothing, at the webhook's address: the most that the server can do."""

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def nothing(_request: HttpRequest) -> HttpResponse:
    """Answer as the webhook does, without doing anything."""
    return HttpResponse(b"{}", content_type="application/json", status=202)


def healthy(_request: HttpRequest) -> HttpResponse:
    """Tell that the server is there."""
    return HttpResponse(b"ok")


# The names are the project's, so that the server gives these addresses the same threads.
urlpatterns = [
    path("odoo/webhook/", nothing, name="odoo-webhook"),
    path("healthz", healthy, name="healthz"),
]

application = get_wsgi_application()
