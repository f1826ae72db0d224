-- Whether a whole index leads with this column, under whatever name: present, being built, broken (a build that failed), else absent.
-- Of several the best counts. By the system catalogue.
SELECT CASE
           WHEN i.indisvalid THEN 'present'
           WHEN EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) THEN 'building'
           ELSE 'broken'
       END AS state,
       CAST(i.indexrelid::regclass AS text) AS name
FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = to_regclass(:table) AND a.attname = :column AND i.indpred IS NULL
ORDER BY i.indisvalid DESC, 1, 2
LIMIT 1
