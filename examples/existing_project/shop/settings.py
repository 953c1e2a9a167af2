"""A project as ``startproject`` makes it; the lines marked «copy of Odoo» were added."""

import os
from pathlib import Path

from bc_consumer.conf import *  # noqa: F403  copy of Odoo: its settings, from the environment
from bc_consumer.conf import POSTGRESQL_OPTIONS  # copy of Odoo

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "bc_consumer",  # copy of Odoo
    "odoo_webhook",  # copy of Odoo
    "django_dramatiq",  # copy of Odoo
    "warehouse",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "bc_consumer.page_limits.PageLimitsMiddleware",  # copy of Odoo: the first of all
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["DB_NAME"],
        "USER": os.environ["DB_USER"],
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": os.environ["DB_HOST"],
        "PORT": os.environ["DB_PORT"],
        "OPTIONS": POSTGRESQL_OPTIONS,  # copy of Odoo
        "ATOMIC_REQUESTS": True,
    }
}
STATIC_URL = "static/"
USE_TZ = True
SECURE_SSL_REDIRECT = False
# copy of Odoo: should this project redirect to https one day, the webhook must stay out of it.
SECURE_REDIRECT_EXEMPT = [r"^hooks/webhook/?$"]
