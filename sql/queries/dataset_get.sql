-- By id, by version, or the active one of a name; of several, one in use comes before one withdrawn, then the newest.
SELECT * FROM training_datasets
WHERE version_id IS NOT NULL
  AND (CAST(id AS text) = :wanted OR version_id = :wanted OR (name = :wanted AND status = 'active'))
ORDER BY
    CASE WHEN CAST(id AS text) = :wanted THEN 0 WHEN version_id = :wanted THEN 1 ELSE 2 END,
    CASE status WHEN 'active' THEN 0 WHEN 'superseded' THEN 1 ELSE 2 END,
    created_at DESC, id
LIMIT 1
