-- By primary key.
SELECT status, mlflow_run_id FROM training_runs WHERE CAST(id AS text) = :run_id
