"""The event by which AstrID says that a validation batch has closed."""

__all__ = ["BATCH_CLOSED", "emit_batch_closed"]

BATCH_CLOSED = "astrid.validation-batch.closed"
RESOURCE = "astrid.validation-batch"
