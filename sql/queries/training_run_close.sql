UPDATE training_runs
SET status = :status, performance_metrics = CAST(:metrics AS jsonb), mlflow_run_id = :mlflow_run_id,
    error = :error, completed_at = now()
WHERE CAST(id AS text) = :run_id
