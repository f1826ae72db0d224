-- Held until the session ends; false where another session holds it.
SELECT pg_try_advisory_lock(:lock)
