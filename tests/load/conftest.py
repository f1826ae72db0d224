"""What tests under load share with those of the deployments."""

from tests.deployments.conftest import client, engine, ready

__all__ = ["client", "engine", "ready"]
