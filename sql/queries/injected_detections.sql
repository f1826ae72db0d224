-- Which of these detections are of light that somebody added to the image. By primary key.
SELECT CAST(id AS text) FROM detections
WHERE id = ANY(CAST(:detections AS uuid[])) AND prediction_metadata @> '{"is_injected": true}'
