-- Trainings that are open. A dataset has few trainings: no index.
SELECT CAST(id AS text) AS id, CAST(dataset_id AS text) AS dataset_id, flow_run_id
FROM training_runs
WHERE status = 'running' AND idempotency_key IS NOT NULL AND started_at < CAST(:before AS timestamptz)
ORDER BY started_at, id
