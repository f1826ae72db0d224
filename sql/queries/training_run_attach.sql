UPDATE training_runs SET flow_run_id = :flow_run_id WHERE CAST(id AS text) = :run_id
