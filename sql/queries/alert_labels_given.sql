-- The latest event of each validator on each detection, and how many there are. Uses the optional index on validation_events (detection_id).
SELECT DISTINCT ON (detection_id, validator_id) detection_id, validator_id, is_valid, label,
       CAST(confidence_level AS text) AS level, count(*) OVER (PARTITION BY detection_id, validator_id) AS events
FROM validation_events
WHERE detection_id = ANY(CAST(:ids AS uuid[]))
ORDER BY detection_id, validator_id, created_at DESC, id DESC
