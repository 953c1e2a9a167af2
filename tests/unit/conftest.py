"""What all tests without a database share."""

from hypothesis import HealthCheck, settings

from tests.quick import examples

# The machine may be busy with other tests: how long one example takes says nothing here.
settings.register_profile(
    "busy",
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("busy")
