"""The site's URLs."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("odoo/", include("odoo_webhook.urls")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("bc_consumer.urls")),
]
handler400 = "project.errors.bad_request"
handler500 = "project.errors.server_error"
