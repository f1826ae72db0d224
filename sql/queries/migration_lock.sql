-- Waits for any other migrator; held until the transaction ends.
SELECT pg_advisory_xact_lock(:lock)
