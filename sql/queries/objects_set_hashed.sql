-- The bytes of these objects are those that their names promise; locked in the order of keys, as everywhere.
WITH locked AS MATERIALIZED (
    SELECT key FROM training_objects WHERE key = ANY(CAST(:keys AS text[])) ORDER BY key FOR UPDATE
)
UPDATE training_objects o SET size = seen.size, etag = seen.etag, hashed_at = now()
FROM locked JOIN (
    SELECT key, size, etag
    FROM unnest(CAST(:keys AS text[]), CAST(:sizes AS bigint[]), CAST(:etags AS text[])) AS given (key, size, etag)
) seen USING (key)
WHERE o.key = locked.key
