"""Whatever the reviews and datasets, the one statement tells what is told by going through them."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from astrid_training.database import query

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + 1000 * HOUR
SURVEYS = ("alpha", "beta", "gamma", "idle", "new")
INACTIVE = "idle"

Review = tuple[str, int, datetime]
"""Survey, number of the detection in it, when."""
Dataset = tuple[str | None, str, datetime, datetime | None]
"""Survey (None: all that are active), status, as_of, looked_at."""

ROWS = """
INSERT INTO surveys (id, name, is_active)
SELECT CAST(md5(name) AS uuid), name, name <> 'idle' FROM unnest(CAST(:surveys AS text[])) AS name;
INSERT INTO models (id, name, version, model_type, is_active)
VALUES (CAST(md5('m') AS uuid), 'u-net', '1', 'UNET', true);
INSERT INTO model_runs (id, model_id, status)
VALUES (CAST(md5('r') AS uuid), CAST(md5('m') AS uuid), 'COMPLETED');
INSERT INTO observations (id, survey_id, observation_id, ra, dec, observation_time, filter_band,
    exposure_time, fits_url, status)
SELECT id, id, name, 1, 1, now(), 'g', 30, '', 'differenced' FROM surveys;
INSERT INTO detections (id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y,
    confidence_score, detection_type, model_version, status, is_validated)
SELECT CAST(md5(name || n) AS uuid), CAST(md5('r') AS uuid), id, 1, 1, 1, 1, 1, 'UNKNOWN', 1,
    'VALIDATED', true
FROM surveys, generate_series(0, 199) AS n;
INSERT INTO validation_events (id, detection_id, validator_id, is_valid, created_at)
SELECT gen_random_uuid(), CAST(md5(survey || n) AS uuid), 'ada', true, at
FROM unnest(CAST(:survey AS text[]), CAST(:n AS int[]), CAST(:at AS timestamptz[]))
    AS review (survey, n, at);
INSERT INTO training_datasets (name, collection_params, total_samples, anomaly_ratio,
    quality_score, created_by, version_id, samples_key, status, as_of, looked_at)
SELECT 'd' || n, CASE WHEN whose IS NULL THEN '{}'
    ELSE jsonb_build_object('survey_ids', jsonb_build_array(whose)) END,
    1, 1, 1, '', lpad(CAST(n AS text), 16, '0'), '', status, as_of, looked_at
FROM unnest(CAST(:whose AS text[]), CAST(:status AS text[]), CAST(:as_of AS timestamptz[]),
    CAST(:looked_at AS timestamptz[])) WITH ORDINALITY AS d (whose, status, as_of, looked_at, n)
"""


def draw(seed: int) -> tuple[list[Review], list[Dataset]]:
    """Return reviews at full hours, so that some fall together, also with what looked at them."""
    dice = random.Random(seed)

    def hour(span: int) -> datetime:
        return START + dice.randrange(span) * HOUR

    reviews = []
    for survey in SURVEYS:
        count, span = dice.choice([0, 3, 500, 1500]), dice.choice([100, 1000])
        reviews += [(survey, dice.randrange(200), hour(span)) for _ in range(count)]
    whose = [*dice.sample(SURVEYS[:-1], dice.randrange(5)), *dice.choice([[None], []])]
    datasets: list[Dataset] = [
        (
            one,
            dice.choice(["active", "active", "revoked"]),
            hour(1000),
            dice.choice([None, hour(1000)]),
        )
        for one in whose
    ]
    return reviews, datasets


def put(connection: Connection, reviews: list[Review], datasets: list[Dataset]) -> None:
    names = ("survey", "n", "at"), ("whose", "status", "as_of", "looked_at")
    given: dict[str, list[Any]] = {"surveys": list(SURVEYS)}
    given |= {name: [row[n] for row in reviews] for n, name in enumerate(names[0])}
    given |= {name: [row[n] for row in datasets] for n, name in enumerate(names[1])}
    for statement in ROWS.split(";\n"):
        connection.execute(text(statement), given)


def tell(connection: Connection, asked: list[str] | None, now: datetime) -> list[tuple[Any, ...]]:
    """Return what the statement tells, without what is of the datasets alone."""
    rows = connection.execute(query("freshness_surveys"), {"surveys": asked, "now": now})
    return [tuple(v for name, v in row._asdict().items() if name != "published_at") for row in rows]


def go_through(
    reviews: list[Review], datasets: list[Dataset], asked: list[str] | None, now: datetime
) -> list[tuple[Any, ...]]:
    """Return what the statement is to tell, survey by survey."""
    told = []
    for survey in SURVEYS:
        is_active = survey != INACTIVE
        instants = [
            max(as_of, looked_at or as_of)
            for whose, status, as_of, looked_at in datasets
            if status == "active" and (whose == survey or (whose is None and is_active))
        ]
        if not (is_active or instants if asked is None else survey in asked):
            continue
        seen_to = max(instants, default=None)
        known = [(n, at) for name, n, at in reviews if name == survey and at <= now]
        used = [at for _, at in known if seen_to is not None and at <= seen_to]
        waiting = [(n, at) for n, at in known if seen_to is None or at > seen_to]
        told.append(
            (
                survey,
                seen_to,
                max((at for _, at in known), default=None),
                max(used, default=None),
                min((at for _, at in waiting), default=None),
                len({n for n, _ in waiting}),
            )
        )
    return told


def test_the_statement_tells_what_is_told_by_going_through_all(database: Engine) -> None:
    with database.connect() as connection:
        for seed in range(12):
            reviews, datasets = draw(seed)
            put(connection, reviews, datasets)
            for asked in (None, ["alpha"], ["idle", "new"]):
                for now in (END, START + 500 * HOUR, START - HOUR):
                    expected = go_through(reviews, datasets, asked, now)
                    assert tell(connection, asked, now) == expected, (seed, asked, now)
            connection.rollback()
