-- How many left a dataset's collection, by step and reason. Uses the primary key.
SELECT step, reason, count(*) AS rejects
FROM training_rejects
WHERE dataset_id = :dataset_id
GROUP BY step, reason
ORDER BY step, reason
