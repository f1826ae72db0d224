-- What each step of a collection's run took, and how many samples came in and went out. A run that failed has the steps that it came to.
CREATE TABLE training_run_steps (
    flow_run_id uuid NOT NULL,
    step varchar(64) NOT NULL,  -- or 'whole': the run from its first step to its end
    wall_s double precision NOT NULL,  -- of all batches together, which run side by side
    cpu_s double precision NOT NULL,  -- of the flow's process
    worker_cpu_s double precision NOT NULL,
    fetched_bytes bigint NOT NULL,
    written_bytes bigint NOT NULL,
    samples_in bigint NOT NULL,
    samples_out bigint NOT NULL,
    rejects bigint NOT NULL CHECK (samples_in = samples_out + rejects),
    runs integer NOT NULL,
    cached integer NOT NULL,  -- of the runs: those whose result was there already
    retries integer NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (flow_run_id, step)
);
