"""How many cases a fuzzing test tries: few in the default suite, many in `make trust`."""

from hypothesis import HealthCheck, settings

__all__ = ["cases"]

IN_TRUST = 2000
"""Cases of the profile that `--trust` loads before tests are imported."""


def cases(few: int, many: int = IN_TRUST) -> settings:
    """Return settings with so many cases, for tests that share what does not change."""
    is_trust = settings().max_examples >= IN_TRUST
    return settings(
        max_examples=many if is_trust else few,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
