-- What the steps of a run have taken so far takes the place of what was known before. By primary key.
INSERT INTO training_run_steps (
    flow_run_id, step, wall_s, cpu_s, worker_cpu_s, fetched_bytes, written_bytes, samples_in, samples_out, rejects, runs, cached, retries
)
SELECT CAST(:flow_run_id AS uuid), *
FROM unnest(
    CAST(:step AS text[]), CAST(:wall_s AS float8[]), CAST(:cpu_s AS float8[]), CAST(:worker_cpu_s AS float8[]),
    CAST(:fetched_bytes AS bigint[]), CAST(:written_bytes AS bigint[]), CAST(:samples_in AS bigint[]), CAST(:samples_out AS bigint[]),
    CAST(:rejects AS bigint[]), CAST(:runs AS integer[]), CAST(:cached AS integer[]), CAST(:retries AS integer[])
)
ON CONFLICT (flow_run_id, step) DO UPDATE SET
    wall_s = excluded.wall_s, cpu_s = excluded.cpu_s, worker_cpu_s = excluded.worker_cpu_s,
    fetched_bytes = excluded.fetched_bytes, written_bytes = excluded.written_bytes,
    samples_in = excluded.samples_in, samples_out = excluded.samples_out, rejects = excluded.rejects,
    runs = excluded.runs, cached = excluded.cached, retries = excluded.retries, updated_at = clock_timestamp()
