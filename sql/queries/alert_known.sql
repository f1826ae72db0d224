-- By primary key.
SELECT id FROM detections WHERE id = ANY(CAST(:ids AS uuid[]))
