"""The page for buyers: docs/metier.fr.md, which ``tools/messages`` has turned into a template."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from bc_consumer.console.page import public_page


@public_page
def for_buyers(request: HttpRequest) -> HttpResponse:
    """Show what the copy is, in the words of a purchasing department, in French."""
    return render(request, "bc_consumer/for_buyers.html")
