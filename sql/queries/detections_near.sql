-- The other detections of the same observation within reach of each position, as known by :as_of; RA wraps at 0 and its
-- degrees shrink towards the poles. Uses ix_detections_observation_id.
SELECT w.number - 1 AS number, CAST(d.id AS text) AS detection_id, CAST(d.ra AS double precision) AS ra_deg,
       CAST(d.dec AS double precision) AS dec_deg, d.pixel_x, d.pixel_y
FROM unnest(CAST(:observations AS uuid[]), CAST(:detections AS uuid[]), CAST(:ra AS double precision[]),
            CAST(:dec AS double precision[]), CAST(:reach_deg AS double precision[]))
     WITH ORDINALITY AS w (observation_id, detection_id, ra, dec, reach_deg, number)
JOIN detections d ON d.observation_id = w.observation_id AND d.id <> w.detection_id
                 AND d.dec BETWEEN CAST(w.dec - w.reach_deg AS numeric) AND CAST(w.dec + w.reach_deg AS numeric)
WHERE d.created_at <= :as_of
  AND abs(mod(CAST(CAST(d.ra AS double precision) - w.ra + 540 AS numeric), 360) - 180)
      <= w.reach_deg / GREATEST(cos(radians(w.dec)), 0.000001)
ORDER BY number, d.id
