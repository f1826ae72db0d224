-- A collection relies on these objects; in the order of keys, so that collections at once never wait for each other in a ring.
INSERT INTO training_objects (key, wanted_at)
SELECT key, now() FROM unnest(CAST(:keys AS text[])) AS wanted (key) ORDER BY key
ON CONFLICT (key) DO UPDATE SET wanted_at = excluded.wanted_at
WHERE training_objects.wanted_at < excluded.wanted_at - interval '1 hour'
