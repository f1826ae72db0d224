-- By primary key.
SELECT q.uri, q.etag, q.reason, q.detail
FROM training_quarantine q
JOIN unnest(CAST(:uris AS text[]), CAST(:etags AS text[])) AS wanted (uri, etag)
  ON q.uri = wanted.uri AND q.etag = wanted.etag
WHERE q.guard_version = :guard_version
