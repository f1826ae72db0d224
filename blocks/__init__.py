"""Credentials and places, as Prefect keeps them."""

from blocks.database import AstridDatabase
from blocks.notification import Notifier
from blocks.storage import AstridStore
from blocks.tracking import TrackingServer
from blocks.training import TrainingTarget

__all__ = ["AstridDatabase", "AstridStore", "Notifier", "TrackingServer", "TrainingTarget"]
