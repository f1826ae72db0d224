-- Published datasets that are active, with what they should have elsewhere. The table is small: a row a version; no index.
SELECT CAST(id AS text) AS id, name, version_id, created_at, samples_key, derived_from, mlflow_run_id FROM training_datasets
WHERE version_id IS NOT NULL AND status = 'active' AND created_at < CAST(:before AS timestamptz)
ORDER BY created_at, id
