-- What the steps of a run took. By primary key.
SELECT step, wall_s, cpu_s, worker_cpu_s, fetched_bytes, written_bytes, samples_in, samples_out, rejects, runs, cached, retries
FROM training_run_steps WHERE flow_run_id = CAST(:flow_run_id AS uuid)
