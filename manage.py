#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        _ = settings.INSTALLED_APPS  # reads all settings
    except ImproperlyConfigured as error:
        from project.wrong_setting import report

        sys.exit(report(sys.argv[1:], error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
