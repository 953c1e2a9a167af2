"""Django's own error answers, as JSON where a machine is calling."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

MACHINE_PATHS = ("/odoo/", "/healthz", "/readyz", "/status.json")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself refused, such as one for a host not in ALLOWED_HOSTS."""
    if request.path.startswith(MACHINE_PATHS):
        return JsonResponse({"error": "bad request: is this host in ALLOWED_HOSTS?"}, status=400)
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after an error of our own; the log has the traceback."""
    if request.path.startswith(MACHINE_PATHS):
        return JsonResponse({"error": "internal error; the log has it"}, status=500)
    return defaults.server_error(request)
