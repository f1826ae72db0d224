"""Alert packets of surveys into AstrID's tables: read, checked, stored, labelled."""

from astrid_training.alerts.alert import Alert, AlertRefusedError

__all__ = ["Alert", "AlertRefusedError"]
