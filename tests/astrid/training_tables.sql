-- The three training tables where AstrID has them already, with rows of its own: ratios are numeric(5,4), status and id have no
-- default, and the same name may be active twice.

CREATE TABLE training_datasets (
    id uuid PRIMARY KEY,
    name varchar(255) NOT NULL,
    description text,
    collection_params jsonb NOT NULL,
    total_samples integer NOT NULL,
    anomaly_ratio numeric(5, 4) NOT NULL,
    quality_score numeric(5, 4) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by varchar(255) NOT NULL,
    status varchar(50) NOT NULL
);

CREATE TABLE training_runs (
    id uuid PRIMARY KEY,
    dataset_id uuid NOT NULL REFERENCES training_datasets (id),
    model_id uuid REFERENCES models (id),
    mlflow_run_id varchar(255),
    training_params jsonb NOT NULL,
    performance_metrics jsonb,
    status varchar(50) NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);

CREATE TABLE training_samples (
    id uuid PRIMARY KEY,
    dataset_id uuid NOT NULL REFERENCES training_datasets (id),
    observation_id uuid REFERENCES observations (id),
    detection_id uuid REFERENCES detections (id),
    image_path varchar(500) NOT NULL,
    mask_path varchar(500),
    labels jsonb NOT NULL,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO training_datasets (id, name, collection_params, total_samples, anomaly_ratio, quality_score, created_by, status)
VALUES
    ('a0000000-0000-4000-8000-000000000001', 'validated-detections', '{}', 2, 0.5, 0.5, 'pipeline', 'active'),
    ('a0000000-0000-4000-8000-000000000002', 'validated-detections', '{}', 0, 0, 1, 'pipeline', 'active');
INSERT INTO training_samples (id, dataset_id, observation_id, detection_id, image_path, labels)
VALUES
    ('b0000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', '30000000-0000-4000-8000-000000000001',
     '80000000-0000-4000-8000-000000000001', 'raw/s1.fits', '{"anomaly_type": "SN Ia?", "validated": true}'),
    ('b0000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001', NULL, NULL, 'raw/s1.fits', '{}');
INSERT INTO training_runs (id, dataset_id, training_params, status)
VALUES ('c0000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', '{"epochs": 3}', 'running');
