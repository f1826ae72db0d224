-- Datasets in use that hold the same content under another name, or were chosen from this one. The table is small; no index.
SELECT d.*
FROM training_datasets o
JOIN training_datasets d ON d.id <> o.id AND d.status <> 'revoked' AND (d.version_id = o.version_id OR d.derived_from = o.id)
WHERE o.id = CAST(:dataset_id AS uuid)
ORDER BY d.created_at, d.id
