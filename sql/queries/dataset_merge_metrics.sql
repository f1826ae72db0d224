-- Adds to what was learnt of a dataset since it was published; a null takes a metric away. Its quality report stays as it was judged by.
-- Rows of AstrID's own stay as they are.
UPDATE training_datasets SET metrics = jsonb_strip_nulls(metrics || CAST(:metrics AS jsonb))
WHERE CAST(id AS text) = :dataset_id AND version_id IS NOT NULL
RETURNING id
