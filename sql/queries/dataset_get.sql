-- By id, by version, or the active one of a name; newest first where several match.
SELECT * FROM training_datasets
WHERE version_id IS NOT NULL
  AND (CAST(id AS text) = :wanted OR version_id = :wanted OR (name = :wanted AND status = 'active'))
ORDER BY created_at DESC, id
LIMIT 1
