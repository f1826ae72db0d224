-- A queue's items with where they are, in the order in which they are shown; which have a review by now.
SELECT i.position, i.detection_id, d.observation_id, s.name AS survey, o.filter_band AS band, o.observation_time,
       CAST(d.ra AS float8) AS ra_deg, CAST(d.dec AS float8) AS dec_deg,
       i.selected_for, i.score, i.uncertainty, i.disagreement, i.rarity, i.p_real, i.model_score, i.n_votes, i.class,
       EXISTS (SELECT FROM validation_events v WHERE v.detection_id = i.detection_id AND v.created_at >= q.created_at) AS reviewed
FROM training_review_queue_items i
JOIN training_review_queues q ON q.id = i.queue_id
JOIN detections d ON d.id = i.detection_id
JOIN observations o ON o.id = d.observation_id
JOIN surveys s ON s.id = o.survey_id
WHERE i.queue_id = :id
ORDER BY i.position
