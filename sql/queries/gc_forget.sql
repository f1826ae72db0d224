-- What is known of these objects, once they are to go.
DELETE FROM training_objects WHERE key = ANY(CAST(:keys AS text[]))
