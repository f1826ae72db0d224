-- Of a name: the active dataset, the one that the last completed training was on, and when the last training began.
SELECT
    (SELECT CAST(d.id AS text) FROM training_datasets d
     WHERE d.name = :name AND d.status = 'active' AND d.version_id IS NOT NULL ORDER BY d.created_at DESC, d.id LIMIT 1) AS newest,
    (SELECT CAST(d.id AS text) FROM training_runs r JOIN training_datasets d ON d.id = r.dataset_id
     WHERE d.name = :name AND d.status <> 'revoked' AND d.version_id IS NOT NULL AND r.status = 'completed'
     ORDER BY r.completed_at DESC, r.id LIMIT 1) AS trained,
    (SELECT max(r.started_at) FROM training_runs r JOIN training_datasets d ON d.id = r.dataset_id
     WHERE d.name = :name AND (r.status <> 'failed' OR r.flow_run_id IS NOT NULL)) AS last_began
