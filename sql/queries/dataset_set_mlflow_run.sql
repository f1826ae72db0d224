-- Rows of AstrID's own stay as they are.
UPDATE training_datasets SET mlflow_run_id = :mlflow_run_id
WHERE CAST(id AS text) = :dataset_id AND version_id IS NOT NULL
