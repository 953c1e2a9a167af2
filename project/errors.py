"""Django's own error responses, as JSON for machine clients."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

MACHINE_PATHS = ("/odoo/", "/healthz", "/readyz", "/status.json", "/metrics")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself rejected, e.g. for a host not in ALLOWED_HOSTS."""
    if request.path.startswith(MACHINE_PATHS):
        return JsonResponse({"error": "bad request: is this host in ALLOWED_HOSTS?"}, status=400)
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after an unexpected error; the log has the traceback."""
    if request.path.startswith(MACHINE_PATHS):
        return JsonResponse({"error": "internal error; see the log"}, status=500)
    return defaults.server_error(request)
