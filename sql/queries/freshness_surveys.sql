-- One row a survey that is active, in an active dataset or asked for: up to when its reviews were looked at for a dataset, and what came after.
-- A dataset that was chosen from another one looks at no reviews. Reads every review of the surveys, by the indexes of reviewed_detections.
WITH dataset AS (
    SELECT as_of, looked_at, created_at, collection_params -> 'survey_ids' AS surveys
    FROM training_datasets
    WHERE status = 'active' AND version_id IS NOT NULL AND derived_from IS NULL
),
covered AS (
    SELECT s.id, s.name, max(GREATEST(d.as_of, d.looked_at)) AS seen_to, max(d.created_at) AS published_at
    FROM surveys s
    LEFT JOIN dataset d
        ON CASE jsonb_typeof(d.surveys) WHEN 'array' THEN jsonb_exists(d.surveys, s.name) ELSE s.is_active END
    WHERE CASE WHEN CAST(:surveys AS text[]) IS NULL THEN s.is_active OR d.created_at IS NOT NULL
               ELSE s.name = ANY(CAST(:surveys AS text[])) END
    GROUP BY s.id, s.name
)
SELECT
    c.name AS survey, c.seen_to, c.published_at,
    max(v.created_at) AS newest_review,
    max(v.created_at) FILTER (WHERE v.created_at <= c.seen_to) AS newest_used,
    min(v.created_at) FILTER (WHERE c.seen_to IS NULL OR v.created_at > c.seen_to) AS oldest_waiting,
    count(DISTINCT v.detection_id) FILTER (WHERE c.seen_to IS NULL OR v.created_at > c.seen_to) AS backlog
FROM covered c
LEFT JOIN observations o ON o.survey_id = c.id
LEFT JOIN detections d ON d.observation_id = o.id
LEFT JOIN validation_events v ON v.detection_id = d.id AND v.created_at <= :now
GROUP BY c.name, c.seen_to, c.published_at
ORDER BY c.name
