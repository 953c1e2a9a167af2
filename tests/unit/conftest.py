"""What all tests without a database share."""

from hypothesis import HealthCheck, settings

# The machine may be busy with other tests: how long one example takes says nothing here.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
