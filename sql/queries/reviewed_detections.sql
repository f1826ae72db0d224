-- Every detection that people decided on, whenever, and the other detections of the same observation nearby (another model run's view
-- of the same thing), as CSV. A status alone counts only where there is no event, not even a later one: AstrID sets the status from the
-- latest review, so a later event means that the status was not known yet. The box is that of a cone; within it positions are tested later.
-- The detections of the exposures are read once: each further look at the table is another scan of all of it where the planner finds
-- an exposure's rows scattered. Surveys are given by id: of a name the planner does not know whether it is the large one.
-- Uses the indexes on observations (survey_id), (observation_time) and detections (observation_id) and, where they are there, the one
-- on validation_events (detection_id) and ix_training_label_events_changes.
COPY (
    WITH exposure AS MATERIALIZED (
        SELECT o.id, o.observation_time, o.filter_band, o.seeing, o.airmass, o.pixel_scale, o.exposure_time, s.name AS survey
        FROM observations o
        JOIN surveys s ON s.id = o.survey_id
        WHERE o.survey_id = ANY(CAST(:surveys AS uuid[]))
          AND (CAST(:start AS timestamptz) IS NULL OR o.observation_time >= :start)
          AND (CAST(:end AS timestamptz) IS NULL OR o.observation_time < :end)
          AND (CAST(:bands AS text[]) IS NULL OR o.filter_band = ANY(CAST(:bands AS text[])))
    ),
    seen AS MATERIALIZED (
        SELECT d.id, d.observation_id, d.created_at, d.ra, d.dec, d.pixel_x, d.pixel_y, d.confidence_score, d.prediction_metadata, d.status, d.human_label, d.updated_at,
               GREATEST(15, 2 * COALESCE(e.pixel_scale, 0), LEAST(2 * COALESCE(e.seeing, 0), 600)) / 3600 AS reach_deg
        FROM exposure e
        JOIN detections d ON d.observation_id = e.id
        WHERE d.created_at <= :as_of
    ),
    voted AS MATERIALIZED (
        SELECT v.detection_id AS id
        FROM seen s
        JOIN validation_events v ON v.detection_id = s.id
        UNION
        SELECT CAST(row ->> 'detection_id' AS uuid) FROM training_label_events WHERE operation = 'D' AND at > :as_of
    ),
    reviewed AS MATERIALIZED (
        SELECT s.observation_id, s.dec, s.reach_deg
        FROM seen s
        LEFT JOIN voted v ON v.id = s.id
        WHERE (v.id IS NOT NULL OR (s.updated_at <= :as_of AND s.status IN ('VALIDATED', 'CONFIRMED', 'REJECTED')))
          AND s.dec BETWEEN CAST(:dec_from AS numeric) AND CAST(:dec_to AS numeric)
          AND CASE WHEN CAST(:ra_from AS numeric) <= CAST(:ra_to AS numeric)
                   THEN s.ra BETWEEN CAST(:ra_from AS numeric) AND CAST(:ra_to AS numeric)
                   ELSE s.ra >= CAST(:ra_from AS numeric) OR s.ra <= CAST(:ra_to AS numeric) END
    ),
    near AS MATERIALIZED (
        SELECT DISTINCT s.id
        FROM reviewed r
        JOIN seen s ON s.observation_id = r.observation_id AND s.dec BETWEEN r.dec - r.reach_deg AND r.dec + r.reach_deg
    )
    SELECT d.id AS detection_id, d.observation_id, d.created_at, d.ra AS ra_deg, d.dec AS dec_deg, d.pixel_x, d.pixel_y,
           CASE WHEN d.prediction_metadata @> '{"has_score": false}' THEN NULL ELSE d.confidence_score END AS model_score,
           NULLIF(d.prediction_metadata ->> 'stamp_path', '') AS stamp_path,
           COALESCE(NULLIF(NULLIF(btrim(d.prediction_metadata ->> 'ssnamenr'), ''), 'null'),
                    NULLIF(NULLIF(btrim(d.prediction_metadata ->> 'ssobjectid'), ''), '0')) AS designation,
           d.prediction_metadata ->> 'program_id' AS program_id, d.prediction_metadata ->> 'proprietary_until' AS proprietary_until,
           d.status, d.human_label, d.updated_at,
           e.survey, e.filter_band AS band, e.observation_time, e.seeing AS seeing_arcsec, e.airmass, e.pixel_scale, e.exposure_time AS exposure_s,
           v.id IS NULL AND d.updated_at <= :as_of AS status_counts, d.updated_at > :as_of AS mutated
    FROM near n
    JOIN seen d ON d.id = n.id
    JOIN exposure e ON e.id = d.observation_id
    LEFT JOIN voted v ON v.id = d.id
    ORDER BY d.observation_id, d.created_at, d.id
) TO STDOUT (FORMAT csv, HEADER)
