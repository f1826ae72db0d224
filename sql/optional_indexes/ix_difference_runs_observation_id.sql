-- Difference images of some observations, found without reading all runs.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_difference_runs_observation_id ON difference_runs (observation_id)
