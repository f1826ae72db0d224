-- Removes what a build that failed left behind; it serves no query.
DROP INDEX CONCURRENTLY IF EXISTS ix_candidates_observation_id
