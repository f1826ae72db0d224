-- The tables of samples of the newest active datasets, newest first. The table is small: a row a version; no index.
SELECT samples_key FROM training_datasets
WHERE status = 'active' AND version_id IS NOT NULL AND derived_from IS NULL
ORDER BY created_at DESC, id
LIMIT :most
