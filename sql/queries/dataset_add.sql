INSERT INTO training_datasets (
    id, name, description, collection_params, total_samples, anomaly_ratio, quality_score, created_by, status,
    version_id, parent_id, as_of, format_version, preprocess_spec, spec_fingerprint,
    query_digest, source_digest, label_digest, content_digest, split_digest, split_policy,
    splits, classes, funnel, quality_report, samples_key, flow_run_id, derived_from, code_version)
VALUES (
    :id, :name, :description, CAST(:collection_params AS jsonb), :total_samples, :anomaly_ratio, :quality_score,
    :created_by, 'active', :version_id, :parent_id, :as_of, :format_version, CAST(:preprocess_spec AS jsonb),
    :spec_fingerprint, :query_digest, :source_digest, :label_digest, :content_digest, :split_digest, :split_policy,
    CAST(:splits AS jsonb), CAST(:classes AS jsonb), CAST(:funnel AS jsonb), CAST(:quality_report AS jsonb),
    :samples_key, :flow_run_id, :derived_from, :code_version)
