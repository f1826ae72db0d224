-- Processed images of some observations, found without reading all runs.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_preprocess_runs_observation_id ON preprocess_runs (observation_id)
