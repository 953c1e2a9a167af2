"""Addresses of the pages and of the machine-readable figures."""

from django.urls.resolvers import URLPattern

urlpatterns: list[URLPattern] = []
