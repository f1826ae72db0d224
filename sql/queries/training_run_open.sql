-- One row per idempotency key; a repeated call returns the row that is there.
INSERT INTO training_runs (dataset_id, training_params, status, idempotency_key)
VALUES (CAST(:dataset_id AS uuid), CAST(:training_params AS jsonb), 'running', :idempotency_key)
ON CONFLICT (idempotency_key) DO UPDATE SET idempotency_key = excluded.idempotency_key
RETURNING id
