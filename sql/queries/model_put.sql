-- A trained network among AstrID's models, not in use until AstrID says so; the same version again is brought up to date, by its
-- unique (name, version). Where AstrID made the table, its id has no default.
INSERT INTO models (
    id, name, version, model_type, architecture, hyperparameters, training_dataset, training_metrics,
    precision, recall, f1_score, is_active, model_path, mlflow_run_id, created_at, updated_at)
VALUES (
    gen_random_uuid(), :name, :version, 'UNET', CAST(:architecture AS jsonb), CAST(:hyperparameters AS jsonb),
    :training_dataset, CAST(:training_metrics AS jsonb), :precision, :recall, :f1_score, false, :model_path,
    :mlflow_run_id, now(), now())
ON CONFLICT (name, version) DO UPDATE
SET architecture = EXCLUDED.architecture, hyperparameters = EXCLUDED.hyperparameters,
    training_dataset = EXCLUDED.training_dataset, training_metrics = EXCLUDED.training_metrics,
    precision = EXCLUDED.precision, recall = EXCLUDED.recall, f1_score = EXCLUDED.f1_score,
    model_path = EXCLUDED.model_path, mlflow_run_id = EXCLUDED.mlflow_run_id, updated_at = now()
RETURNING id
