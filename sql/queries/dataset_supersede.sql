-- The active version of a name steps back; returns it as the parent of the next.
UPDATE training_datasets SET status = 'superseded'
WHERE name = :name AND status = 'active' AND version_id IS NOT NULL
RETURNING id
