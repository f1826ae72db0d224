-- Keeps others from retiring the same dataset until this transaction ends. Uses the primary key.
SELECT id, name, version_id, status FROM training_datasets
WHERE id = CAST(:dataset_id AS uuid) AND version_id IS NOT NULL
FOR UPDATE
