"""People who go on reviewing: new reviews, and old ones that are changed."""

from random import Random

from sqlalchemy import Connection, Engine, text

__all__ = ["review_some"]

REVIEWED = text(
    "SELECT v.id, v.detection_id, v.is_valid, v.label FROM validation_events v"
    " JOIN detections d ON d.id = v.detection_id JOIN observations o ON o.id = d.observation_id"
    " JOIN surveys s ON s.id = o.survey_id WHERE s.name = :survey ORDER BY v.id"
)
ADD = text(
    "INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label,"
    " confidence_level, created_at, updated_at) VALUES (gen_random_uuid(), :detection, :reviewer,"
    " :is_valid, :label, 'HIGH', clock_timestamp(), clock_timestamp())"
)
CHANGE = text(
    "UPDATE validation_events SET is_valid = NOT is_valid, label = NULL,"
    " updated_at = clock_timestamp() WHERE id = :id"
)
ADDED, CHANGED = 12, 3


def review_some(engine: Engine, survey: str, rng: Random) -> list[str]:
    """Enter reviews by one more person, change some of others, and return the detections."""
    with engine.begin() as connection:
        known = connection.execute(REVIEWED, {"survey": survey}).all()
        seen = [_agree(connection, rng.choice(known), rng) for _ in range(ADDED)]
        for row in rng.sample(known, CHANGED):
            connection.execute(CHANGE, {"id": row.id})
            seen.append(str(row.detection_id))
    return seen


def _agree(connection: Connection, row: object, rng: Random) -> str:
    """Enter a review of the detection that says what another one says."""
    given = row._mapping  # type: ignore[attr-defined]  # SQLAlchemy's rows of text are untyped
    review = {
        "detection": given["detection_id"],
        "reviewer": f"reviewer-{rng.randrange(100):02d}",
        "is_valid": given["is_valid"],
        "label": given["label"],
    }
    connection.execute(ADD, review)
    return str(given["detection_id"])
