-- Detections of the scope that nobody reviewed and no queue has shown lately, as CSV: the :most that are most worth a review by what the
-- model says of them, and the :drawn that chance puts first. A detection without a score is one that nobody knows anything of.
-- Reads the scope's detections once; uses the indexes of reviewed_detections.
COPY (
    WITH exposure AS MATERIALIZED (
        SELECT o.id, o.observation_time, o.filter_band, o.seeing, o.pixel_scale, s.name AS survey
        FROM observations o
        JOIN surveys s ON s.id = o.survey_id
        WHERE o.survey_id = ANY(CAST(:surveys AS uuid[]))
          AND (CAST(:start AS timestamptz) IS NULL OR o.observation_time >= :start)
          AND (CAST(:end AS timestamptz) IS NULL OR o.observation_time < :end)
          AND (CAST(:bands AS text[]) IS NULL OR o.filter_band = ANY(CAST(:bands AS text[])))
    ),
    rare AS (
        SELECT kind, rarity FROM unnest(CAST(:kinds AS text[]), CAST(:rarities AS float8[])) AS given (kind, rarity)
    ),
    candidate AS MATERIALIZED (
        SELECT d.id, d.observation_id, d.created_at, d.ra, d.dec, d.detection_type::text AS kind,
               CASE WHEN d.prediction_metadata @> '{"has_score": false}' THEN NULL ELSE CAST(d.confidence_score AS float8) END AS model_score,
               e.survey, e.filter_band, e.observation_time, e.seeing, e.pixel_scale
        FROM exposure e
        JOIN detections d ON d.observation_id = e.id
        WHERE d.created_at <= :as_of AND d.status IN ('PENDING', 'VALIDATING')
          AND NOT EXISTS (SELECT FROM validation_events v WHERE v.detection_id = d.id)
          AND NOT EXISTS (
              SELECT FROM training_review_queue_items i JOIN training_review_queues q ON q.id = i.queue_id
              WHERE i.detection_id = d.id AND q.created_at > :since
          )
    ),
    scored AS (
        SELECT c.*, COALESCE(r.rarity, 0) AS rarity,
               CASE WHEN p.p IN (0, 1) THEN 0 ELSE -(p.p * ln(p.p) + (1 - p.p) * ln(1 - p.p)) / ln(2.0) END AS uncertainty
        FROM candidate c
        CROSS JOIN LATERAL (SELECT COALESCE(c.model_score, 0.5) AS p) p
        LEFT JOIN rare r ON r.kind = c.kind
    ),
    chosen AS (
        (SELECT id, false AS drawn FROM scored ORDER BY uncertainty + rarity DESC, id LIMIT :most)
        UNION ALL
        (SELECT id, true FROM scored ORDER BY md5(CAST(:salt AS text) || id::text), id LIMIT :drawn)
    )
    SELECT s.id AS detection_id, s.observation_id, s.ra AS ra_deg, s.dec AS dec_deg, s.kind, s.model_score, s.survey, s.filter_band AS band,
           s.observation_time, s.seeing AS seeing_arcsec, s.pixel_scale, s.uncertainty, s.rarity, bool_or(c.drawn) AS drawn
    FROM chosen c
    JOIN scored s ON s.id = c.id
    GROUP BY s.id, s.observation_id, s.created_at, s.ra, s.dec, s.kind, s.model_score, s.survey, s.filter_band, s.observation_time, s.seeing,
             s.pixel_scale, s.uncertainty, s.rarity
    ORDER BY s.observation_id, s.created_at, s.id
) TO STDOUT (FORMAT csv, HEADER)
