-- Others may ask for objects again.
SELECT pg_advisory_unlock(hashtextextended('astrid-training objects', 0))
