UPDATE training_runs
SET status = :status, performance_metrics = CAST(:metrics AS jsonb), mlflow_run_id = :mlflow_run_id,
    error = :error, completed_at = now(), code_version = :code_version, mlflow_model_id = :mlflow_model_id,
    registered_name = :registered_name, registered_version = :registered_version,
    model_id = coalesce(CAST(:model_id AS uuid), model_id)
WHERE CAST(id AS text) = :run_id
