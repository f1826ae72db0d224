-- One judge at a time, until its transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('astrid-training freshness', 0))
