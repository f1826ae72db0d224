-- Where the images of each observation lie: its own file, the newest difference image completed by :as_of, that one's reference.
-- Uses the primary keys and, where it is there, the index on difference_runs (observation_id).
SELECT o.id AS observation_id, COALESCE(NULLIF(o.fits_file_path, ''), NULLIF(o.fits_url, '')) AS science_path,
       d.difference_image_path AS difference_path,
       COALESCE(NULLIF(r.fits_file_path, ''), NULLIF(r.fits_url, '')) AS reference_path
FROM observations o
LEFT JOIN (
    SELECT DISTINCT ON (observation_id) observation_id, reference_observation_id, difference_image_path
    FROM difference_runs
    WHERE status = 'COMPLETED' AND difference_image_path <> '' AND observation_id = ANY(CAST(:observations AS uuid[]))
      AND created_at <= :as_of AND COALESCE(completed_at, created_at) <= :as_of
    ORDER BY observation_id, completed_at DESC NULLS LAST, id
) d ON d.observation_id = o.id
LEFT JOIN observations r ON r.id = d.reference_observation_id
WHERE o.id = ANY(CAST(:observations AS uuid[]))
