-- Where the images of each observation lie, as CSV: its own file, what its newest preprocess run completed by :as_of left, the newest
-- difference image completed by then, and the same two files of that one's reference. A status is an enum's label, its value or its name.
-- Uses the primary keys and, where they are there, the indexes on difference_runs and preprocess_runs (observation_id).
COPY (
    WITH subtracted AS MATERIALIZED (
        SELECT DISTINCT ON (observation_id) observation_id, reference_observation_id, difference_image_path
        FROM difference_runs
        WHERE status = 'COMPLETED' AND difference_image_path <> '' AND observation_id = ANY(CAST(:observations AS uuid[]))
          AND created_at <= :as_of AND COALESCE(completed_at, created_at) <= :as_of
        ORDER BY observation_id, completed_at DESC NULLS LAST, id
    ),
    processed AS MATERIALIZED (
        SELECT DISTINCT ON (observation_id) observation_id, processed_fits_path
        FROM preprocess_runs
        WHERE lower(status) IN ('completed', 'preprocessrunstatus.completed') AND processed_fits_path <> ''
          AND observation_id = ANY(ARRAY(SELECT unnest(CAST(:observations AS uuid[])) UNION SELECT reference_observation_id FROM subtracted))
          AND created_at <= :as_of AND COALESCE(completed_at, created_at) <= :as_of
        ORDER BY observation_id, completed_at DESC NULLS LAST, id
    )
    SELECT o.id AS observation_id, COALESCE(NULLIF(o.fits_file_path, ''), NULLIF(o.fits_url, '')) AS science_raw,
           p.processed_fits_path AS science_processed, d.difference_image_path AS difference_path,
           COALESCE(NULLIF(r.fits_file_path, ''), NULLIF(r.fits_url, '')) AS reference_raw,
           q.processed_fits_path AS reference_processed
    FROM observations o
    LEFT JOIN processed p ON p.observation_id = o.id
    LEFT JOIN subtracted d ON d.observation_id = o.id
    LEFT JOIN observations r ON r.id = d.reference_observation_id
    LEFT JOIN processed q ON q.observation_id = r.id
    WHERE o.id = ANY(CAST(:observations AS uuid[]))
) TO STDOUT (FORMAT csv, HEADER)
