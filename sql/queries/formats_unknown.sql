-- Datasets of a later format than this version reads: one row a format. A dataset a row; no index.
SELECT format_version, count(*) AS datasets FROM training_datasets
WHERE version_id IS NOT NULL AND format_version > :known
GROUP BY format_version ORDER BY format_version
