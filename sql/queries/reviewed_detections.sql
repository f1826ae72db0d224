-- Every detection that people decided on by :as_of, with its votes until then, and the other detections of the same observation
-- nearby (another model run's view of the same thing). A status alone counts only where there is no event, not even a later one:
-- AstrID sets the status from the latest review, so a later event means that the status was not known yet. Uses the indexes on observations (survey_id), (observation_time) and
-- detections (observation_id) and, where it is there, the one on validation_events (detection_id).
WITH exposure AS MATERIALIZED (
    SELECT o.id, o.observation_time, o.filter_band, o.seeing, o.pixel_scale, o.exposure_time,
           s.name AS survey
    FROM observations o
    JOIN surveys s ON s.id = o.survey_id
    WHERE s.name = ANY(CAST(:surveys AS text[]))
      AND (CAST(:start AS timestamptz) IS NULL OR o.observation_time >= :start)
      AND (CAST(:end AS timestamptz) IS NULL OR o.observation_time < :end)
      AND (CAST(:bands AS text[]) IS NULL OR o.filter_band = ANY(CAST(:bands AS text[])))
),
voted AS MATERIALIZED (
    SELECT v.detection_id, bool_or(v.created_at <= :as_of) AS by_then
    FROM exposure e
    JOIN detections d ON d.observation_id = e.id
    JOIN validation_events v ON v.detection_id = d.id
    GROUP BY v.detection_id
),
reviewed AS MATERIALIZED (
    SELECT d.id, d.observation_id, d.dec,
           GREATEST(15, 2 * COALESCE(e.pixel_scale, 0), LEAST(2 * COALESCE(e.seeing, 0), 600)) / 3600 AS reach_deg
    FROM detections d
    JOIN exposure e ON e.id = d.observation_id
    LEFT JOIN voted v ON v.detection_id = d.id
    WHERE d.created_at <= :as_of
      AND (v.by_then OR (v.detection_id IS NULL AND d.updated_at <= :as_of
                         AND d.status IN ('VALIDATED', 'CONFIRMED', 'REJECTED')))
),
near AS MATERIALIZED (
    SELECT DISTINCT d.id
    FROM reviewed r
    JOIN detections d ON d.observation_id = r.observation_id
                     AND d.dec BETWEEN r.dec - r.reach_deg AND r.dec + r.reach_deg
    WHERE d.created_at <= :as_of
),
votes AS MATERIALIZED (
    SELECT v.detection_id,
           jsonb_agg(jsonb_build_object(
               'event_id', v.id, 'validator', v.validator_id, 'is_valid', v.is_valid, 'label', v.label,
               'level', v.confidence_level, 'machine', COALESCE(v.tags ->> 'label_source' = 'machine', false), 'at', v.created_at) ORDER BY v.created_at, v.id) AS votes,
           bool_or(v.updated_at > :as_of) AS votes_changed
    FROM validation_events v
    JOIN near n ON n.id = v.detection_id
    WHERE v.created_at <= :as_of
    GROUP BY v.detection_id
)
SELECT d.id AS detection_id, d.observation_id, CAST(d.ra AS double precision) AS ra_deg,
       CAST(d.dec AS double precision) AS dec_deg, d.pixel_x, d.pixel_y,
       CASE WHEN d.prediction_metadata @> '{"has_score": false}' THEN NULL
            ELSE CAST(d.confidence_score AS double precision) END AS model_score, d.model_version,
       NULLIF(d.prediction_metadata ->> 'stamp_path', '') AS stamp_path,
       COALESCE(NULLIF(NULLIF(btrim(d.prediction_metadata ->> 'ssnamenr'), ''), 'null'),
                NULLIF(NULLIF(btrim(d.prediction_metadata ->> 'ssobjectid'), ''), '0')) AS designation,
       CAST(d.status AS text) AS status, d.human_label, d.created_at, d.updated_at,
       e.survey, e.filter_band AS band, e.observation_time,
       CAST(e.seeing AS double precision) AS seeing_arcsec,
       CAST(e.pixel_scale AS double precision) AS pixel_scale,
       CAST(e.exposure_time AS double precision) AS exposure_s, v.votes,
       k.detection_id IS NULL AND d.updated_at <= :as_of AS status_counts,
       d.updated_at > :as_of OR COALESCE(v.votes_changed, false) AS mutated
FROM near n
JOIN detections d ON d.id = n.id
JOIN exposure e ON e.id = d.observation_id
LEFT JOIN votes v ON v.detection_id = d.id
LEFT JOIN voted k ON k.detection_id = d.id
ORDER BY d.observation_id, d.created_at, d.id
