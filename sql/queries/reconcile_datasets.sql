-- Published datasets that MLflow does not know. The table is small: a row a version; no index.
SELECT CAST(id AS text) AS id, name, version_id FROM training_datasets
WHERE version_id IS NOT NULL AND mlflow_run_id IS NULL AND derived_from IS NULL AND status = 'active'
  AND created_at < CAST(:before AS timestamptz)
ORDER BY created_at, id
