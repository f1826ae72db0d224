-- The bytes of these objects are those that their names promise.
UPDATE training_objects o SET size = seen.size, etag = seen.etag, hashed_at = now()
FROM (
    SELECT key, size, etag
    FROM unnest(CAST(:keys AS text[]), CAST(:sizes AS bigint[]), CAST(:etags AS text[])) AS given (key, size, etag)
) seen
WHERE o.key = seen.key
