-- Published datasets, newest first; every filter may be null.
SELECT * FROM training_datasets
WHERE version_id IS NOT NULL
  AND (CAST(:status AS text) IS NULL OR status = :status)
  AND (CAST(:name AS text) IS NULL OR name = :name)
  AND (CAST(:created_by AS text) IS NULL OR created_by = :created_by)
  AND (CAST(:least_quality AS double precision) IS NULL OR quality_score >= :least_quality)
ORDER BY created_at DESC, id
LIMIT :limit OFFSET :offset
