-- By uq_training_freshness_breaches_open: what was looked at and is not found any more.
UPDATE training_freshness_breaches SET closed_at = clock_timestamp()
WHERE closed_at IS NULL AND survey = ANY(CAST(:looked_at AS text[])) AND NOT id = ANY(CAST(:still AS bigint[]))
RETURNING id, kind, survey, band, detail
