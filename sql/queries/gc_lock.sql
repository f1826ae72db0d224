-- Nobody may ask for objects while some are cleared away; until gc_unlock or the end of the session.
SELECT pg_advisory_lock(hashtextextended('astrid-training objects', 0))
