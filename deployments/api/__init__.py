"""The REST API: a router that AstrID can mount, and an application of our own."""

from deployments.api.router import create_router

__all__ = ["create_router"]
