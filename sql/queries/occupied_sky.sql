-- Where anything was ever detected or thought of over each field, by :as_of, rounded to the field's grain: of the given observations,
-- and of all others that were subtracted from the same reference. Uses ix_detections_observation_id and, where they are there, the
-- indexes on difference_runs and candidates (observation_id).
WITH field AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:fields AS uuid[]), CAST(:grains_deg AS numeric[])) AS f (id, grain)
),
exposure AS MATERIALIZED (
    SELECT f.id AS field, f.grain, r.observation_id
    FROM field f
    JOIN difference_runs r ON r.reference_observation_id = f.id
    WHERE r.created_at <= :as_of
    UNION
    SELECT f.id, f.grain, f.id FROM field f
)
SELECT DISTINCT CAST(e.field AS text) AS field, CAST(round(d.ra / e.grain) * e.grain AS double precision) AS ra_deg,
       CAST(round(d.dec / e.grain) * e.grain AS double precision) AS dec_deg
FROM exposure e
JOIN detections d ON d.observation_id = e.observation_id
WHERE d.created_at <= :as_of
UNION
SELECT CAST(e.field AS text), CAST(round(c.ra / e.grain) * e.grain AS double precision),
       CAST(round(c.dec / e.grain) * e.grain AS double precision)
FROM exposure e
JOIN candidates c ON c.observation_id = e.observation_id
WHERE c.created_at <= :as_of
