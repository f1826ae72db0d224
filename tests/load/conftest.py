"""What tests under load share with those of the deployments."""

from tests.deployments.conftest import bootstrapped, client, engine, ready

__all__ = ["bootstrapped", "client", "engine", "ready"]
