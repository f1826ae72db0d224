-- Rows that name a row which does not exist, with one of them: place and column, how many, an example. It reads our tables whole, once each.
WITH gaps (place, what, name) AS (
    SELECT 'training_samples', 'dataset', CAST(s.dataset_id AS text) FROM training_samples s
    WHERE NOT EXISTS (SELECT FROM training_datasets d WHERE d.id = s.dataset_id)
    UNION ALL
    SELECT 'training_samples', 'observation', CAST(s.observation_id AS text) FROM training_samples s
    WHERE s.observation_id IS NOT NULL AND NOT EXISTS (SELECT FROM observations o WHERE o.id = s.observation_id)
    UNION ALL
    SELECT 'training_samples', 'detection', CAST(s.detection_id AS text) FROM training_samples s
    WHERE s.detection_id IS NOT NULL AND NOT EXISTS (SELECT FROM detections d WHERE d.id = s.detection_id)
    UNION ALL
    SELECT 'training_rejects', 'dataset', CAST(r.dataset_id AS text) FROM training_rejects r
    WHERE NOT EXISTS (SELECT FROM training_datasets d WHERE d.id = r.dataset_id)
    UNION ALL
    SELECT 'training_datasets', 'parent', CAST(c.parent_id AS text) FROM training_datasets c
    WHERE c.parent_id IS NOT NULL AND NOT EXISTS (SELECT FROM training_datasets d WHERE d.id = c.parent_id)
    UNION ALL
    SELECT 'training_datasets', 'dataset it was chosen from', CAST(c.derived_from AS text) FROM training_datasets c
    WHERE c.derived_from IS NOT NULL AND NOT EXISTS (SELECT FROM training_datasets d WHERE d.id = c.derived_from)
    UNION ALL
    SELECT 'training_dataset_events', 'dataset', CAST(e.dataset_id AS text) FROM training_dataset_events e
    WHERE NOT EXISTS (SELECT FROM training_datasets d WHERE d.id = e.dataset_id)
    UNION ALL
    SELECT 'training_runs', 'dataset', CAST(t.dataset_id AS text) FROM training_runs t
    WHERE NOT EXISTS (SELECT FROM training_datasets d WHERE d.id = t.dataset_id)
    UNION ALL
    SELECT 'training_runs', 'model', CAST(t.model_id AS text) FROM training_runs t
    WHERE t.model_id IS NOT NULL AND NOT EXISTS (SELECT FROM models m WHERE m.id = t.model_id)
    UNION ALL
    SELECT 'training_validation_batches', 'dataset', CAST(b.dataset_id AS text) FROM training_validation_batches b
    WHERE b.dataset_id IS NOT NULL AND NOT EXISTS (SELECT FROM training_datasets d WHERE d.id = b.dataset_id)
    UNION ALL
    SELECT 'training_split_ledger', 'first dataset', CAST(l.first_dataset AS text) FROM training_split_ledger l
    WHERE NOT EXISTS (SELECT FROM training_datasets d WHERE d.id = l.first_dataset)
    UNION ALL
    SELECT 'training_split_members', 'group of the ledger', m.policy || ' ' || m.group_key FROM training_split_members m
    WHERE NOT EXISTS (SELECT FROM training_split_ledger l WHERE l.policy = m.policy AND l.group_key = m.group_key)
    UNION ALL
    SELECT 'training_review_queue_items', 'review queue', CAST(i.queue_id AS text) FROM training_review_queue_items i
    WHERE NOT EXISTS (SELECT FROM training_review_queues q WHERE q.id = i.queue_id)
)
SELECT place, what, count(*) AS rows, min(name) AS example
FROM gaps
GROUP BY place, what
ORDER BY place, what
