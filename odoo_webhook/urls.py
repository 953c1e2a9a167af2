"""The webhook's address, for ``include()``: ``path("odoo/", include("odoo_webhook.urls"))``."""

from django.urls import re_path

from odoo_webhook.views import receive

urlpatterns = [
    # Accept it with and without the slash: a redirect would turn Odoo's POST into a GET.
    re_path(r"^webhook/?$", receive, name="odoo-webhook"),
]
