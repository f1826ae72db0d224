-- The active version of a name steps back, with a note of it; returns it as the parent of the next. Uses uq_training_datasets_active_name.
WITH stepped AS (
    UPDATE training_datasets SET status = 'superseded'
    WHERE name = :name AND status = 'active' AND version_id IS NOT NULL
    RETURNING id
),
noted AS (
    INSERT INTO training_dataset_events (dataset_id, event, reason, by)
    SELECT id, 'superseded', :reason, :by FROM stepped
)
SELECT id FROM stepped
