-- The first subjects that left for each reason, by key. Uses the primary key of training_rejects.
SELECT sample_key, CAST(detection_id AS text) AS detection_id, step, reason, COALESCE(detail, '') AS detail
FROM (
    SELECT *, row_number() OVER (PARTITION BY step, reason ORDER BY sample_key) AS place
    FROM training_rejects
    WHERE dataset_id = :dataset_id
) AS numbered
WHERE place <= :per_reason
ORDER BY step, reason, sample_key
