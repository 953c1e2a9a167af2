"""The page for buyers: docs/metier.fr.md within the console, in French, linked from each page."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db

LABELS = {"en": "For buyers (in French)", "fr": "Pour les acheteurs"}
ADDRESS = "/help/"


def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create_user("staff", is_staff=True))
    return client


@pytest.mark.parametrize("language", LABELS)
@pytest.mark.parametrize("path", ["/", "/orders/", "/failures/", "/settings/", ADDRESS])
def test_each_page_links_it_in_its_reader_s_language(language: str, path: str) -> None:
    page = staff().get(path, headers={"Accept-Language": language}).content.decode()
    assert f'<a href="{ADDRESS}">{LABELS[language]}</a>' in page


@pytest.mark.parametrize("language", LABELS)
def test_it_is_in_french_whatever_the_reader_s_language(language: str) -> None:
    answer = staff().get(ADDRESS, headers={"Accept-Language": language})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert f"<title>{LABELS[language]}" in page
    assert f'<html lang="{language}">' in page
    assert page.count("<h1") == 1
    article = page.partition('<article class="prose" lang="fr">')[2]
    for text in ("Ce qu’est un BC ici", "conditions de paiement", "payment_term_id", "Glossaire"):
        assert text in article
    assert "verbatim" not in page
    assert "style=" not in page
    assert answer["Cache-Control"] == "no-store"


def test_it_is_for_staff_and_for_everybody_where_orders_are(
    client: Client, settings: LazySettings
) -> None:
    assert client.get(ADDRESS).status_code == 302
    settings.LIVE_PAGE_PUBLIC = True
    assert client.get(ADDRESS).status_code == 200
    assert f'href="{ADDRESS}"' in client.get("/").content.decode()
