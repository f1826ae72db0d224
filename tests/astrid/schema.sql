-- AstrID's tables as its own migrations leave them, for tests: other names of indexes than ours, none on validation_events,
-- difference_runs and preprocess_runs, no default of any id, and tables that we never look at.

CREATE TYPE detection_type AS ENUM ('SUPERNOVA', 'VARIABLE', 'TRANSIENT', 'UNKNOWN', 'ARTIFACT');
CREATE TYPE detection_status AS ENUM ('PENDING', 'VALIDATING', 'VALIDATED', 'REJECTED', 'CONFIRMED', 'ARCHIVED');
CREATE TYPE candidate_status AS ENUM ('PENDING', 'PROCESSING', 'DETECTED', 'REJECTED', 'DUPLICATE');
CREATE TYPE difference_run_status AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED');
CREATE TYPE model_run_status AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED');
CREATE TYPE model_type AS ENUM ('UNET', 'ANOMALY_DETECTOR', 'CLASSIFIER', 'SEGMENTATION');
CREATE TYPE confidence_level AS ENUM ('LOW', 'MEDIUM', 'HIGH', 'EXPERT');
CREATE TYPE image_quality AS ENUM ('EXCELLENT', 'GOOD', 'FAIR', 'POOR');
CREATE TYPE detection_quality AS ENUM ('EXCELLENT', 'GOOD', 'FAIR', 'POOR');

CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);

CREATE TABLE system_config (
    id uuid PRIMARY KEY,
    key varchar(100) NOT NULL UNIQUE,
    value jsonb NOT NULL
);

CREATE TABLE surveys (
    id uuid PRIMARY KEY,
    name varchar(100) NOT NULL UNIQUE,
    description text,
    base_url varchar(500),
    api_endpoint varchar(500),
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE observations (
    id uuid PRIMARY KEY,
    survey_id uuid NOT NULL REFERENCES surveys (id),
    observation_id varchar(255) NOT NULL,
    ra numeric(10, 7) NOT NULL CHECK (ra >= 0 AND ra <= 360),
    dec numeric(10, 7) NOT NULL CHECK (dec >= -90 AND dec <= 90),
    observation_time timestamptz NOT NULL,
    filter_band varchar(50) NOT NULL,
    exposure_time numeric(10, 3) NOT NULL CHECK (exposure_time > 0),
    fits_url varchar(1000) NOT NULL,
    pixel_scale numeric(8, 4),
    image_width integer,
    image_height integer,
    airmass numeric(5, 2) CHECK (airmass > 0),
    seeing numeric(6, 3) CHECK (seeing > 0),
    status varchar(50) NOT NULL,
    fits_file_path varchar(500),
    thumbnail_path varchar(500),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_observations_observation_time ON observations (observation_time);
CREATE INDEX idx_observations_ra_dec ON observations (ra, dec);
CREATE INDEX idx_observations_status ON observations (status);
CREATE INDEX idx_observations_survey_id ON observations (survey_id);

CREATE TABLE models (
    id uuid PRIMARY KEY,
    name varchar(100) NOT NULL,
    version varchar(50) NOT NULL,
    model_type model_type NOT NULL,
    architecture jsonb,
    hyperparameters jsonb,
    training_dataset varchar(200),
    training_metrics jsonb,
    precision numeric(5, 4),
    recall numeric(5, 4),
    f1_score numeric(5, 4),
    accuracy numeric(5, 4),
    is_active boolean NOT NULL,
    deployment_date timestamptz,
    model_path varchar(500),
    mlflow_run_id varchar(100),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    training_energy_wh numeric(12, 6)
);
CREATE UNIQUE INDEX idx_models_name_version ON models (name, version);

CREATE TABLE difference_runs (
    id uuid PRIMARY KEY,
    observation_id uuid NOT NULL REFERENCES observations (id),
    reference_observation_id uuid REFERENCES observations (id),
    status difference_run_status NOT NULL,
    algorithm varchar(50) NOT NULL,
    parameters jsonb,
    difference_image_path varchar(500),
    significance_map_path varchar(500),
    noise_level numeric(10, 6),
    detection_threshold numeric(10, 6),
    candidates_found integer NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    processing_time_seconds integer,
    error_message text,
    retry_count integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE model_runs (
    id uuid PRIMARY KEY,
    model_id uuid NOT NULL REFERENCES models (id),
    observation_id uuid REFERENCES observations (id),
    input_image_path varchar(500),
    output_mask_path varchar(500),
    confidence_map_path varchar(500),
    inference_time_ms integer,
    memory_usage_mb integer,
    total_predictions integer,
    high_confidence_predictions integer,
    status model_run_status NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    inference_energy_wh numeric(12, 6)
);

CREATE TABLE preprocess_runs (
    id uuid PRIMARY KEY,
    observation_id uuid NOT NULL REFERENCES observations (id),
    status varchar(50) NOT NULL,
    calibration_applied boolean NOT NULL,
    wcs_aligned boolean NOT NULL,
    registration_quality numeric(5, 3),
    processed_fits_path varchar(500),
    wcs_info jsonb,
    started_at timestamptz,
    completed_at timestamptz,
    processing_time_seconds integer,
    error_message text,
    retry_count integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE candidates (
    id uuid PRIMARY KEY,
    difference_run_id uuid NOT NULL REFERENCES difference_runs (id),
    observation_id uuid NOT NULL REFERENCES observations (id),
    ra numeric(10, 7) NOT NULL,
    dec numeric(10, 7) NOT NULL,
    pixel_x integer NOT NULL,
    pixel_y integer NOT NULL,
    flux numeric(15, 6),
    flux_error numeric(15, 6),
    significance numeric(10, 3),
    snr numeric(8, 3),
    fwhm numeric(8, 3),
    ellipticity numeric(5, 3),
    position_angle numeric(6, 2),
    is_saturated boolean NOT NULL,
    is_blended boolean NOT NULL,
    is_edge boolean NOT NULL,
    status candidate_status NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE detections (
    id uuid PRIMARY KEY,
    model_run_id uuid NOT NULL REFERENCES model_runs (id),
    observation_id uuid NOT NULL REFERENCES observations (id),
    ra numeric(10, 7) NOT NULL,
    dec numeric(10, 7) NOT NULL,
    pixel_x integer NOT NULL,
    pixel_y integer NOT NULL,
    confidence_score numeric(5, 4) NOT NULL CHECK (confidence_score >= 0 AND confidence_score <= 1),
    detection_type detection_type NOT NULL,
    model_version varchar(50) NOT NULL,
    inference_time_ms integer,
    prediction_metadata jsonb,
    status detection_status NOT NULL,
    is_validated boolean NOT NULL,
    validation_confidence numeric(5, 4),
    human_label varchar(50),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_detections_confidence_score ON detections (confidence_score);
CREATE INDEX idx_detections_detection_type ON detections (detection_type);
CREATE INDEX idx_detections_observation_id ON detections (observation_id);
CREATE INDEX idx_detections_ra_dec ON detections (ra, dec);
CREATE INDEX idx_detections_status ON detections (status);

CREATE TABLE validation_events (
    id uuid PRIMARY KEY,
    detection_id uuid NOT NULL REFERENCES detections (id),
    validator_id varchar(100) NOT NULL,
    is_valid boolean NOT NULL,
    label varchar(50),
    confidence_level confidence_level,
    notes text,
    tags jsonb,
    image_quality image_quality,
    detection_quality detection_quality,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- AstrID may watch its own tables; what it hangs on them stays.
CREATE FUNCTION astrid_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER astrid_touch BEFORE UPDATE ON validation_events FOR EACH ROW EXECUTE FUNCTION astrid_touch();
