-- How it is trained in the end, once its flow run knows: the deployment's own defaults fill what was not asked for.
UPDATE training_runs
SET flow_run_id = :flow_run_id, training_params = COALESCE(CAST(:training_params AS jsonb), training_params)
WHERE CAST(id AS text) = :run_id
