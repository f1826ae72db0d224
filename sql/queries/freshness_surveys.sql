-- One row a survey that is active, in an active dataset or asked for: up to when its reviews were looked at for a dataset, and what came after.
-- A dataset that was chosen from another one looks at no reviews. What counts of a survey stands in the recent reviews where one of them was looked
-- at: the newest that was, and all that wait. Of a survey without such a one all reviews are read.
-- Reviews are read in their order, for AstrID has no index by time; detections and observations of the recent ones are found by primary keys.
WITH dataset AS (
    SELECT as_of, looked_at, created_at, collection_params -> 'survey_ids' AS surveys
    FROM training_datasets
    WHERE status = 'active' AND version_id IS NOT NULL AND derived_from IS NULL
),
covered AS MATERIALIZED (
    SELECT s.id, s.name, max(GREATEST(d.as_of, d.looked_at)) AS seen_to, max(d.created_at) AS published_at
    FROM surveys s
    LEFT JOIN dataset d
        ON CASE jsonb_typeof(d.surveys) WHEN 'array' THEN jsonb_exists(d.surveys, s.name) ELSE s.is_active END
    WHERE CASE WHEN CAST(:surveys AS text[]) IS NULL THEN s.is_active OR d.created_at IS NOT NULL
               ELSE s.name = ANY(CAST(:surveys AS text[])) END
    GROUP BY s.id, s.name
),
recent AS MATERIALIZED (
    (
        SELECT detection_id, created_at
        FROM validation_events
        WHERE created_at <= LEAST(CAST(:now AS timestamptz), (SELECT max(seen_to) FROM covered))
        ORDER BY created_at DESC
        LIMIT 1000
    )
    UNION ALL
    SELECT detection_id, created_at
    FROM validation_events
    WHERE created_at > (SELECT max(seen_to) FROM covered) AND created_at <= CAST(:now AS timestamptz)
),
seen AS MATERIALIZED (
    SELECT o.survey_id, v.detection_id, v.created_at
    FROM recent v
    JOIN detections d ON d.id = v.detection_id
    JOIN observations o ON o.id = d.observation_id
),
whole AS MATERIALIZED (
    SELECT o.survey_id, d.id AS detection_id
    FROM covered c
    JOIN observations o ON o.survey_id = c.id
    JOIN detections d ON d.observation_id = o.id
    WHERE NOT EXISTS (SELECT FROM seen s WHERE s.survey_id = c.id AND s.created_at <= c.seen_to)
),
review AS (
    SELECT survey_id, detection_id, created_at FROM seen
    UNION ALL
    SELECT w.survey_id, w.detection_id, v.created_at
    FROM whole w
    JOIN validation_events v ON v.detection_id = w.detection_id AND v.created_at <= CAST(:now AS timestamptz)
),
reviewed AS (
    SELECT c.id, c.seen_to IS NULL OR v.created_at > c.seen_to AS waits, max(v.created_at) AS newest, min(v.created_at) AS oldest
    FROM review v
    JOIN covered c ON c.id = v.survey_id
    GROUP BY c.id, waits, v.detection_id
)
SELECT
    c.name AS survey, c.seen_to, c.published_at,
    max(d.newest) AS newest_review,
    max(d.newest) FILTER (WHERE NOT d.waits) AS newest_used,
    min(d.oldest) FILTER (WHERE d.waits) AS oldest_waiting,
    count(*) FILTER (WHERE d.waits) AS backlog
FROM covered c
LEFT JOIN reviewed d ON d.id = c.id
GROUP BY c.name, c.seen_to, c.published_at
ORDER BY c.name
