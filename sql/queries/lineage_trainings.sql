-- Trainings whose model is meant: by the training's own id, MLflow's run or logged model, `name/version` of the registered one, or
-- AstrID's row; the newest first. The table is small: a row a training; no index.
SELECT r.id, r.dataset_id
FROM training_runs r
LEFT JOIN models m ON m.id = r.model_id
WHERE :wanted IN (
    CAST(r.id AS text), r.mlflow_run_id, r.mlflow_model_id, r.registered_name || '/' || r.registered_version,
    CAST(r.model_id AS text), m.name || '/' || m.version)
ORDER BY r.started_at DESC, r.id
