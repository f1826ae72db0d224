-- Datasets that superseded this one, and those whose samples were chosen from it. The table is small; no index.
SELECT id, name, version_id, status, created_at, mlflow_run_id, parent_id IS NOT DISTINCT FROM CAST(:dataset_id AS uuid) AS follows
FROM training_datasets
WHERE version_id IS NOT NULL AND (parent_id = CAST(:dataset_id AS uuid) OR derived_from = CAST(:dataset_id AS uuid))
ORDER BY created_at, id
