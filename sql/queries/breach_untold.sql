-- By ix_training_freshness_breaches_untold: the next one of which somebody is still to be told, that it came or that it went. One that
-- went before anybody was told of it is not told at all. One that another run is telling is passed over.
SELECT id, kind, survey, band, detail, opened_at, closed_at FROM training_freshness_breaches
WHERE (alerted_at IS NULL AND closed_at IS NULL)
   OR (alerted_at IS NOT NULL AND closed_at IS NOT NULL AND recovery_told_at IS NULL)
ORDER BY id
LIMIT 1
FOR UPDATE SKIP LOCKED
