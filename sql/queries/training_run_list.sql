SELECT id, dataset_id, status, training_params, performance_metrics, mlflow_run_id, flow_run_id, started_at, completed_at,
    model_id, code_version, mlflow_model_id, registered_name, registered_version
FROM training_runs
WHERE CAST(dataset_id AS text) = :dataset_id
ORDER BY started_at, id
