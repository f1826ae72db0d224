-- Adds to what is known of a dataset's quality; pixels, labels and splits never change.
UPDATE training_datasets SET quality_report = COALESCE(quality_report, '{}') || CAST(:metrics AS jsonb)
WHERE CAST(id AS text) = :dataset_id
RETURNING id
