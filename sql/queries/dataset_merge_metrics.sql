-- Adds to what is known of a dataset's quality; pixels, labels and splits never change. Rows of AstrID's own stay as they are.
UPDATE training_datasets SET quality_report = COALESCE(quality_report, '{}') || CAST(:metrics AS jsonb)
WHERE CAST(id AS text) = :dataset_id AND version_id IS NOT NULL
RETURNING id
