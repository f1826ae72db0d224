-- A dataset leaves use. Uses the primary key.
UPDATE training_datasets SET status = :status WHERE id = CAST(:dataset_id AS uuid)
