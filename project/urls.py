"""The site's addresses."""

from django.contrib import admin
from django.urls import include, path, re_path

from odoo_webhook.views import receive

urlpatterns = [
    # With and without the slash: a redirect would turn Odoo's POST into a GET.
    re_path(r"^odoo/webhook/?$", receive, name="odoo-webhook"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("bc_consumer.urls")),
]
handler400 = "project.errors.bad_request"
handler500 = "project.errors.server_error"
