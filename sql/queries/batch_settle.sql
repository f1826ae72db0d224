-- By primary key; a batch that is in a dataset stays in it.
UPDATE training_validation_batches SET dataset_id = CAST(:dataset_id AS uuid)
WHERE batch_id = ANY(CAST(:batch_ids AS text[])) AND dataset_id IS NULL
RETURNING batch_id
