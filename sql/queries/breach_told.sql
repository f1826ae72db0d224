-- By primary key.
UPDATE training_freshness_breaches
SET alerted_at = COALESCE(alerted_at, clock_timestamp()),
    recovery_told_at = CASE WHEN closed_at IS NULL THEN NULL ELSE clock_timestamp() END
WHERE id = :id
