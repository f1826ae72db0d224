-- One row per idempotency key, by uq_training_runs_idempotency_key; each training of it that failed adds one to its number.
-- A repeated call returns the row that is there, reopened if its start had failed. A dataset has few trainings: no index on it.
-- Where AstrID made the table, its id has no default.
INSERT INTO training_runs (id, dataset_id, training_params, status, idempotency_key)
SELECT
    gen_random_uuid(), CAST(:dataset_id AS uuid), CAST(:training_params AS jsonb), 'running',
    CAST(:idempotency_key AS text) || CASE WHEN count(*) = 0 THEN '' ELSE '-' || (count(*) + 1) END
FROM training_runs AS former
WHERE former.dataset_id = CAST(:dataset_id AS uuid)
  AND former.status = 'failed' AND former.flow_run_id IS NOT NULL
  AND (former.idempotency_key = :idempotency_key
       OR starts_with(former.idempotency_key, CAST(:idempotency_key AS text) || '-'))
ON CONFLICT (idempotency_key) DO UPDATE
SET status = CASE WHEN training_runs.flow_run_id IS NULL AND training_runs.status = 'failed'
                  THEN 'running' ELSE training_runs.status END,
    error = CASE WHEN training_runs.flow_run_id IS NULL THEN NULL ELSE training_runs.error END
RETURNING id, idempotency_key, status
