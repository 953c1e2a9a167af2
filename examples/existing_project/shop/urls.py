"""The site's addresses."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("hooks/", include("odoo_webhook.urls")),  # copy of Odoo: /hooks/webhook/
    path("orders/", include("bc_consumer.urls")),  # copy of Odoo: its pages, if you want them
]
