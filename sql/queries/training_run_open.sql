-- One row per idempotency key; a repeated call returns the row that is there, reopened if its start had failed.
INSERT INTO training_runs (dataset_id, training_params, status, idempotency_key)
VALUES (CAST(:dataset_id AS uuid), CAST(:training_params AS jsonb), 'running', :idempotency_key)
ON CONFLICT (idempotency_key) DO UPDATE
SET status = CASE WHEN training_runs.flow_run_id IS NULL THEN 'running' ELSE training_runs.status END,
    error = CASE WHEN training_runs.flow_run_id IS NULL THEN NULL ELSE training_runs.error END
RETURNING id
