"""The REST API: a router that AstrID can mount, and an application of our own."""

from deployments.api.app import create_app
from deployments.api.auth import Authorize, Caller
from deployments.api.limits import Limits
from deployments.api.router import create_router

__all__ = ["Authorize", "Caller", "Limits", "create_app", "create_router"]
