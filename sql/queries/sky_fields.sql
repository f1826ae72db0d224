-- The field of each observation: the reference of its newest difference run completed by :as_of, or itself where none is named; the
-- field's centre, and the centre and size of the observation's own frame. Uses the primary key and, where it is there, the index on
-- difference_runs (observation_id).
WITH subtracted AS MATERIALIZED (
    SELECT DISTINCT ON (observation_id) observation_id, reference_observation_id
    FROM difference_runs
    WHERE status = 'COMPLETED' AND difference_image_path <> '' AND observation_id = ANY(CAST(:observations AS uuid[]))
      AND created_at <= :as_of AND COALESCE(completed_at, created_at) <= :as_of
    ORDER BY observation_id, completed_at DESC NULLS LAST, id
)
SELECT CAST(o.id AS text) AS observation_id, CAST(f.id AS text) AS field,
       CAST(f.ra AS double precision) AS field_ra, CAST(f.dec AS double precision) AS field_dec,
       CAST(o.ra AS double precision) AS ra, CAST(o.dec AS double precision) AS dec, o.image_width, o.image_height
FROM observations o
LEFT JOIN subtracted s ON s.observation_id = o.id
JOIN observations f ON f.id = COALESCE(s.reference_observation_id, o.id)
WHERE o.id = ANY(CAST(:observations AS uuid[]))
ORDER BY o.id
