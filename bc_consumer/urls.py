"""URLs of the pages and of the endpoints for machines."""

from django.urls import path

from bc_consumer.console import health, metrics, views

urlpatterns = [
    path("", views.live, name="bc-live"),
    path("live/", views.live_content, name="bc-live-content"),
    path("bc/<int:odoo_id>/", views.order, name="bc-order"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("status.json", health.status, name="status"),
    path("metrics", metrics.metrics, name="metrics"),
    # Browsers ask for it on pages that name no icon, such as the administration's.
    path("favicon.ico", views.icon),
]
