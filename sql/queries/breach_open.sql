-- By uq_training_freshness_breaches_open; of one that is open already only the detail becomes today's.
INSERT INTO training_freshness_breaches (kind, survey, band, detail)
SELECT kind, survey, band, detail
FROM unnest(CAST(:kinds AS text[]), CAST(:surveys AS text[]), CAST(:bands AS text[]), CAST(:details AS text[]))
    AS found (kind, survey, band, detail)
ON CONFLICT (kind, survey, band) WHERE closed_at IS NULL DO UPDATE SET detail = EXCLUDED.detail
RETURNING id, kind, survey, band, detail, xmax = 0 AS is_new
