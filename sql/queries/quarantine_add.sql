INSERT INTO training_quarantine (uri, etag, reason, detail)
SELECT uri, etag, reason, detail
FROM unnest(CAST(:uris AS text[]), CAST(:etags AS text[]), CAST(:reasons AS text[]), CAST(:details AS text[]))
    AS refused (uri, etag, reason, detail)
ON CONFLICT (uri, etag) DO UPDATE SET last_seen = now(), reason = excluded.reason, detail = excluded.detail
