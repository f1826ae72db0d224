-- Every review entered by :as_of of a detection in the scope, as CSV. One that was changed or deleted since is told as it was, where the log
-- of changes has it; where it has not, the row that is there now is told and marked as changed. A version holds since the review was
-- entered, which may be long before it came into this database, or since the instant of its change. Why it was shown is what its tag
-- says, else what the first review queue that showed it says, where the review came after.
-- Uses the indexes of reviewed_detections, ix_training_label_events_changes and ix_training_label_events_event.
COPY (
    WITH exposure AS MATERIALIZED (
        SELECT o.id
        FROM observations o
        JOIN surveys s ON s.id = o.survey_id
        WHERE o.survey_id = ANY(CAST(:surveys AS uuid[]))
          AND (CAST(:start AS timestamptz) IS NULL OR o.observation_time >= :start)
          AND (CAST(:end AS timestamptz) IS NULL OR o.observation_time < :end)
          AND (CAST(:bands AS text[]) IS NULL OR o.filter_band = ANY(CAST(:bands AS text[])))
    ),
    former AS MATERIALIZED (
        SELECT DISTINCT ON (l.event_id) l.event_id, l.operation, l.row
        FROM (SELECT DISTINCT event_id FROM training_label_events WHERE operation IN ('U', 'D') AND at > :as_of) c
        JOIN training_label_events l ON l.event_id = c.event_id
        CROSS JOIN LATERAL (
            SELECT CASE l.operation WHEN 'I' THEN GREATEST(CAST(l.row ->> 'created_at' AS timestamptz), CAST(l.row ->> 'updated_at' AS timestamptz))
                                    ELSE l.at END AS since
        ) t
        WHERE t.since <= :as_of
        ORDER BY l.event_id, t.since DESC, l.id DESC
    ),
    known AS (
        SELECT v.id, v.detection_id, v.validator_id, v.is_valid, v.label, v.confidence_level, v.image_quality, v.tags, v.created_at, v.updated_at > :as_of AS changed
        FROM exposure e
        JOIN detections d ON d.observation_id = e.id
        JOIN validation_events v ON v.detection_id = d.id
        WHERE v.created_at <= :as_of AND NOT EXISTS (SELECT FROM former f WHERE f.event_id = v.id)
          AND d.dec BETWEEN CAST(:dec_from AS numeric) AND CAST(:dec_to AS numeric)
          AND CASE WHEN CAST(:ra_from AS numeric) <= CAST(:ra_to AS numeric)
                   THEN d.ra BETWEEN CAST(:ra_from AS numeric) AND CAST(:ra_to AS numeric)
                   ELSE d.ra >= CAST(:ra_from AS numeric) OR d.ra <= CAST(:ra_to AS numeric) END
        UNION ALL
        SELECT v.id, v.detection_id, v.validator_id, v.is_valid, v.label, v.confidence_level, v.image_quality, v.tags, v.created_at, false
        FROM former f
        CROSS JOIN jsonb_populate_record(CAST(NULL AS validation_events), f.row) v
        WHERE f.operation <> 'D' AND v.created_at <= :as_of
    ),
    shown AS MATERIALIZED (
        SELECT DISTINCT ON (i.detection_id) i.detection_id, i.selected_for, q.created_at
        FROM training_review_queue_items i
        JOIN training_review_queues q ON q.id = i.queue_id
        ORDER BY i.detection_id, q.created_at, q.id
    )
    SELECT k.id AS event_id, k.detection_id, k.validator_id AS validator, k.is_valid, k.label, k.confidence_level AS level, k.image_quality,
           CASE WHEN k.tags ->> 'label_source' IN ('machine', 'gold') THEN k.tags ->> 'label_source' ELSE 'human' END AS source,
           CASE WHEN k.tags ->> 'selected_for' IN ('queue', 'random_audit') THEN k.tags ->> 'selected_for'
                WHEN k.created_at >= s.created_at THEN s.selected_for END AS selected_for,
           k.created_at AS at, k.changed
    FROM known k
    LEFT JOIN shown s ON s.detection_id = k.detection_id
) TO STDOUT (FORMAT csv, HEADER)
