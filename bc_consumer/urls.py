"""URLs of the pages and of the endpoints for machines."""

from django.urls import path

from bc_consumer.console import (
    actions,
    connections,
    failures,
    health,
    metrics,
    order,
    orders,
    runs,
    settings_list,
    today,
)

urlpatterns = [
    path("", today.today, name="bc-today"),
    path("today/", today.today_content, name="bc-today-content"),
    path("bc/<int:odoo_id>/", order.order, name="bc-order"),
    path("search/", orders.find, name="bc-search"),
    path("orders/", orders.orders, name="bc-orders"),
    path("orders.csv", orders.orders_csv, name="bc-orders-csv"),
    path("failures/", failures.failures, name="bc-failures"),
    path("failures/orders/", failures.failed_of_cause, name="bc-failure"),
    path("failures.csv", failures.failures_csv, name="bc-failures-csv"),
    path("runs/", runs.runs, name="bc-runs"),
    path("runs.csv", runs.runs_csv, name="bc-runs-csv"),
    path("runs/<int:number>/", runs.run, name="bc-run"),
    path("connections/", connections.connections, name="bc-connections"),
    path("settings/", settings_list.settings_list, name="bc-settings"),
    path("actions/", actions.actions, name="bc-actions"),
    path("actions/<int:number>/", actions.action, name="bc-action"),
    path("actions/<int:number>/content/", actions.action_content, name="bc-action-content"),
    path("actions/<int:number>/cancel/", actions.cancel, name="bc-cancel"),
    path("ask/", actions.ask, name="bc-ask-selected"),
    path("ask/<slug:kind>/", actions.ask, name="bc-ask"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("status.json", health.status, name="status"),
    path("metrics", metrics.metrics, name="metrics"),
    # Browsers ask for it on pages that name no icon, such as the administration's.
    path("favicon.ico", today.icon),
]
