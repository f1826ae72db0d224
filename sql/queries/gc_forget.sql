-- What is known of these objects, once they are to go; locked in the order of keys, as everywhere.
WITH locked AS MATERIALIZED (
    SELECT key FROM training_objects WHERE key = ANY(CAST(:keys AS text[])) ORDER BY key FOR UPDATE
)
DELETE FROM training_objects o USING locked WHERE o.key = locked.key
