-- Held while objects are asked for: who clears up waits, and who asks waits for them. Until the transaction ends.
SELECT pg_advisory_xact_lock_shared(hashtextextended('astrid-training objects', 0))
