-- One publisher at a time, until its transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('astrid-training publish', 0))
