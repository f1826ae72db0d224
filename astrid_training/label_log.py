"""The log of every change of a review: on AstrID's own database it begins when its owner asks."""

from importlib.resources import files

from psycopg.errors import LockNotAvailable
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from astrid_training.database import query
from astrid_training.migrate import LOCK_TIMEOUT, MigrationError

__all__ = ["start_label_log"]


def start_label_log(engine: Engine) -> str:
    """Log changes of reviews from now on, and return `started` or `present`.

    Reviews that are there already are taken into the log as they are. AstrID's tables get a trigger
    and no other change. Where these migrations made AstrID's tables, the log is on from the start.

    Raises:
        DatabaseRightsError: if the role does not own AstrID's reviews.
        MigrationError: if the role may not write the log, or the table is in use just now.
    """
    with engine.begin() as connection:
        state = connection.execute(query("label_log_state")).one()
        if state.is_set:
            return "present"
        if not state.may_write:  # the trigger would then refuse every review of AstrID's
            raise MigrationError(
                "this role may not write training_label_events; grant it INSERT there, "
                "or run this as a role that owns both AstrID's tables and ours"
            )
        connection.execute(query("migration_lock_timeout"), {"timeout": LOCK_TIMEOUT})
        try:
            sql = files("sql").joinpath("optional_label_log", "trigger.sql").read_text("utf-8")
            connection.exec_driver_sql(sql)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            raise MigrationError(
                f"the label log was not started: another session has held validation_events for "
                f"{LOCK_TIMEOUT}; run `astrid-training migrate --with-label-log` again when AstrID "
                "is at rest"
            ) from error
    with engine.begin() as connection:  # apart, so that AstrID's writers do not wait for the copy
        connection.execute(query("label_log_backfill"))
    return "started"
