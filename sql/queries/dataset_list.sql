-- One page of the published datasets, newest first, with the number of all that match; every filter may be null. A page begins after
-- the dataset of after_at and after_id, or passes over some. One beyond the last is one row whose id is null. The table is small: a
-- row a version; no index.
WITH matching AS (
    SELECT id, created_at FROM training_datasets
    WHERE version_id IS NOT NULL
      AND (CAST(:status AS text) IS NULL OR status = :status)
      AND (CAST(:name AS text) IS NULL OR name = :name)
      AND (CAST(:created_by AS text) IS NULL OR created_by = :created_by)
      AND (CAST(:survey AS text) IS NULL OR jsonb_exists(quality_report -> 'survey_coverage', CAST(:survey AS text)))
      AND (CAST(:least_quality AS double precision) IS NULL OR quality_score >= :least_quality)
      AND (CAST(:created_from AS timestamptz) IS NULL OR created_at >= :created_from)
      AND (CAST(:created_to AS timestamptz) IS NULL OR created_at < :created_to)
),
page AS (
    SELECT id FROM matching
    WHERE CAST(:after_at AS timestamptz) IS NULL OR created_at < :after_at
       OR (created_at = :after_at AND id > CAST(:after_id AS uuid))
    ORDER BY created_at DESC, id
    LIMIT :limit OFFSET :offset
)
SELECT counted.total, d.*
FROM (SELECT count(*) AS total FROM matching) counted
LEFT JOIN page ON true
LEFT JOIN training_datasets d ON d.id = page.id
ORDER BY d.created_at DESC, d.id
