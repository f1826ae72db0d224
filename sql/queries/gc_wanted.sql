-- Which of these objects a collection has asked for since :since. By primary key.
SELECT key FROM training_objects WHERE key = ANY(CAST(:keys AS text[])) AND wanted_at >= :since
