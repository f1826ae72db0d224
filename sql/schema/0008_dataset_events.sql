-- What happens to a dataset after it was published, and what is learnt of it later. Its samples never change.
ALTER TABLE training_datasets
    ADD COLUMN IF NOT EXISTS metrics jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS derived_from uuid REFERENCES training_datasets (id);

CREATE TABLE training_dataset_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset_id uuid NOT NULL REFERENCES training_datasets (id),
    event varchar(16) NOT NULL CHECK (event IN ('superseded', 'revoked')),
    reason text NOT NULL,
    by varchar(255) NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_training_dataset_events_dataset ON training_dataset_events (dataset_id, id);
