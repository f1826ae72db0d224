-- What these objects were when their bytes were last hashed. By primary key.
SELECT key, size, etag FROM training_objects WHERE key = ANY(CAST(:keys AS text[])) AND hashed_at >= :since
