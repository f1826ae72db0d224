-- The median width of the candidates of each observation without a stated seeing that has :least of them or more.
-- Uses the primary key and, where it is there, ix_candidates_observation_id.
SELECT CAST(c.observation_id AS text) AS observation_id,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(c.fwhm AS double precision)) AS fwhm_px
FROM observations o
JOIN candidates c ON c.observation_id = o.id
WHERE o.id = ANY(CAST(:observations AS uuid[])) AND o.seeing IS NULL AND c.fwhm > 0 AND c.created_at <= :as_of
GROUP BY c.observation_id
HAVING count(*) >= :least
