-- Datasets that are meant: by id, version, name (then the active version), their run in MLflow, or by a digest or at least 12 hex digits of one. The most
-- exact come first, of them those in use, then the newest. The table is small: a row a version; no index.
SELECT id, name, version_id, status, meant.by
FROM training_datasets,
LATERAL (SELECT CASE
    WHEN CAST(id AS text) = :wanted THEN 'id'
    WHEN version_id = :wanted THEN 'version'
    WHEN name = :wanted AND status = 'active' THEN 'name'
    WHEN mlflow_run_id = :wanted THEN 'MLflow run'
    WHEN CAST(:prefix AS text) IS NULL THEN NULL
    WHEN starts_with(version_id, :prefix) THEN 'version'
    WHEN starts_with(content_digest, :prefix) THEN 'content digest'
    WHEN starts_with(label_digest, :prefix) THEN 'label digest'
    WHEN starts_with(source_digest, :prefix) THEN 'source digest'
    WHEN starts_with(split_digest, :prefix) THEN 'split digest'
    WHEN starts_with(query_digest, :prefix) THEN 'query digest'
    WHEN starts_with(replace(CAST(id AS text), '-', ''), :prefix) THEN 'id'
END AS by) AS meant
WHERE version_id IS NOT NULL AND meant.by IS NOT NULL
ORDER BY
    array_position(ARRAY['id', 'version', 'name', 'MLflow run', 'content digest', 'split digest', 'label digest', 'source digest', 'query digest'], meant.by),
    CASE status WHEN 'active' THEN 0 WHEN 'superseded' THEN 1 ELSE 2 END, created_at DESC, id
