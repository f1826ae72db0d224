-- Candidates of some observations, which sky negatives keep clear of, found without reading all of them.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_candidates_observation_id ON candidates (observation_id)
