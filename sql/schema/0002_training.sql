-- The three tables of ASTR-113, made where they are absent and extended in place where AstrID already has them with rows.

CREATE TABLE IF NOT EXISTS training_datasets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL,
    description text,
    collection_params jsonb NOT NULL,
    total_samples integer NOT NULL,
    anomaly_ratio double precision NOT NULL,
    quality_score double precision NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by varchar(255) NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'active'
);

CREATE TABLE IF NOT EXISTS training_samples (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    dataset_id uuid NOT NULL REFERENCES training_datasets (id),
    observation_id uuid REFERENCES observations (id),
    detection_id uuid REFERENCES detections (id),
    image_path varchar(500) NOT NULL,
    mask_path varchar(500),
    labels jsonb NOT NULL,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS training_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    dataset_id uuid NOT NULL REFERENCES training_datasets (id),
    model_id uuid REFERENCES models (id),
    mlflow_run_id varchar(255),
    training_params jsonb NOT NULL,
    performance_metrics jsonb,
    status varchar(50) NOT NULL DEFAULT 'running',
    started_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);

-- A dataset without a version_id was written by something other than this package and is left alone.
ALTER TABLE training_datasets
    ADD COLUMN IF NOT EXISTS version_id char(16),
    ADD COLUMN IF NOT EXISTS parent_id uuid REFERENCES training_datasets (id),
    ADD COLUMN IF NOT EXISTS as_of timestamptz,
    ADD COLUMN IF NOT EXISTS format_version integer,
    ADD COLUMN IF NOT EXISTS preprocess_spec jsonb,
    ADD COLUMN IF NOT EXISTS spec_fingerprint char(64),
    ADD COLUMN IF NOT EXISTS query_digest char(64),
    ADD COLUMN IF NOT EXISTS source_digest char(64),
    ADD COLUMN IF NOT EXISTS label_digest char(64),
    ADD COLUMN IF NOT EXISTS content_digest char(64),
    ADD COLUMN IF NOT EXISTS split_digest char(64),
    ADD COLUMN IF NOT EXISTS split_policy varchar(100),
    ADD COLUMN IF NOT EXISTS splits jsonb,
    ADD COLUMN IF NOT EXISTS classes jsonb,
    ADD COLUMN IF NOT EXISTS funnel jsonb,
    ADD COLUMN IF NOT EXISTS quality_report jsonb,
    ADD COLUMN IF NOT EXISTS samples_key varchar(500),
    ADD COLUMN IF NOT EXISTS flow_run_id varchar(64),
    ADD COLUMN IF NOT EXISTS mlflow_run_id varchar(64);

-- At most one active version of a name; AstrID's own rows have no version_id and do not count.
CREATE UNIQUE INDEX IF NOT EXISTS uq_training_datasets_active_name
    ON training_datasets (name) WHERE status = 'active' AND version_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS ix_training_datasets_content_digest ON training_datasets (content_digest);

ALTER TABLE training_samples
    ADD COLUMN IF NOT EXISTS sample_key char(32),
    ADD COLUMN IF NOT EXISTS split varchar(16),
    ADD COLUMN IF NOT EXISTS weight double precision,
    ADD COLUMN IF NOT EXISTS group_key varchar(64);
CREATE UNIQUE INDEX IF NOT EXISTS uq_training_samples_dataset_key
    ON training_samples (dataset_id, sample_key) WHERE sample_key IS NOT NULL;

ALTER TABLE training_runs
    ADD COLUMN IF NOT EXISTS flow_run_id varchar(64),
    ADD COLUMN IF NOT EXISTS idempotency_key varchar(128),
    ADD COLUMN IF NOT EXISTS error text;
CREATE UNIQUE INDEX IF NOT EXISTS uq_training_runs_idempotency_key ON training_runs (idempotency_key);
