INSERT INTO training_quarantine (uri, etag, guard_version, reason, detail)
SELECT uri, etag, CAST(:guard_version AS integer), reason, detail
FROM unnest(CAST(:uris AS text[]), CAST(:etags AS text[]), CAST(:reasons AS text[]), CAST(:details AS text[]))
    AS refused (uri, etag, reason, detail)
ON CONFLICT (uri, etag, guard_version)
    DO UPDATE SET last_seen = now(), reason = excluded.reason, detail = excluded.detail
