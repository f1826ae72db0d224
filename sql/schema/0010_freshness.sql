-- What became stale, when, and who was told of it.
ALTER TABLE training_datasets
    ADD COLUMN IF NOT EXISTS looked_at timestamptz; -- a later collection found, with reviews up to then, that nothing had changed

CREATE TABLE training_freshness_breaches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind varchar(32) NOT NULL,
    survey varchar(100) NOT NULL,
    band varchar(50) NOT NULL DEFAULT '',
    detail text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    alerted_at timestamptz,
    closed_at timestamptz,
    recovery_told_at timestamptz
);
-- One breach of a kind, survey and band at a time.
CREATE UNIQUE INDEX uq_training_freshness_breaches_open
    ON training_freshness_breaches (kind, survey, band) WHERE closed_at IS NULL;
CREATE INDEX ix_training_freshness_breaches_untold
    ON training_freshness_breaches (id) WHERE alerted_at IS NULL OR recovery_told_at IS NULL;
