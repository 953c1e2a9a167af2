"""One Django project around the two apps: settings, addresses, limits of requests."""
