-- The detections that a queue has shown since then.
SELECT DISTINCT i.detection_id
FROM training_review_queue_items i
JOIN training_review_queues q ON q.id = i.queue_id
WHERE q.created_at > :since
ORDER BY i.detection_id
