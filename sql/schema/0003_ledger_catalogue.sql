-- What makes splits permanent, finished pixels reusable and every drop visible.

-- Which split a sky group belongs to, for ever, under one split policy.
CREATE TABLE training_split_ledger (
    policy varchar(100) NOT NULL,
    group_key varchar(64) NOT NULL,
    split varchar(16) NOT NULL CHECK (split IN ('train', 'val', 'test')),
    first_dataset uuid NOT NULL REFERENCES training_datasets (id),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (policy, group_key)
);

-- Where the members of each ledgered group lie: the ledger is looked up by position, not by name.
CREATE TABLE training_split_members (
    policy varchar(100) NOT NULL,
    sample_key char(32) NOT NULL,
    group_key varchar(64) NOT NULL,
    ra_deg double precision NOT NULL,
    dec_deg double precision NOT NULL,
    radius_arcsec double precision NOT NULL,
    PRIMARY KEY (policy, sample_key),
    FOREIGN KEY (policy, group_key) REFERENCES training_split_ledger (policy, group_key)
);
CREATE INDEX ix_training_split_members_dec ON training_split_members (policy, dec_deg);

-- What became of each sample under each spec, from each input (files, position, profile, reading code): a row of immutable packs, or the reason why it has no stamp.
CREATE TABLE training_image_catalogue (
    sample_key char(32) NOT NULL,
    spec_fingerprint char(64) NOT NULL,
    input_digest char(64) NOT NULL,
    image_pack char(64),
    flag_pack char(64),
    measure_table char(64),
    pack_row integer,
    reason varchar(64),
    detail text,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sample_key, spec_fingerprint, input_digest),
    CHECK ((reason IS NULL) = (pack_row IS NOT NULL))
);
CREATE INDEX ix_training_image_catalogue_pack ON training_image_catalogue (image_pack);

-- Subjects that left a published dataset's collection, and why.
CREATE TABLE training_rejects (
    dataset_id uuid NOT NULL REFERENCES training_datasets (id),
    sample_key char(32) NOT NULL,
    detection_id uuid,
    step varchar(64) NOT NULL,
    reason varchar(64) NOT NULL,
    detail text,
    PRIMARY KEY (dataset_id, sample_key)
);

-- Source files that were refused; they are not fetched again while file and guard are the same.
CREATE TABLE training_quarantine (
    uri varchar(1000) NOT NULL,
    etag varchar(255) NOT NULL,
    guard_version integer NOT NULL,
    reason varchar(64) NOT NULL,
    detail text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (uri, etag, guard_version)
);

-- Validation batches that closed and wait for, or went into, a dataset.
CREATE TABLE training_validation_batches (
    batch_id varchar(255) PRIMARY KEY,
    closed_at timestamptz NOT NULL,
    detection_ids uuid[],
    received_at timestamptz NOT NULL DEFAULT now(),
    claimed_by varchar(64),
    claimed_at timestamptz,
    dataset_id uuid REFERENCES training_datasets (id)
);
CREATE INDEX ix_training_validation_batches_pending
    ON training_validation_batches (closed_at) WHERE dataset_id IS NULL;

-- Every change of a review, in order: what was known at an instant can be told later.
CREATE TABLE training_label_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation char(1) NOT NULL CHECK (operation IN ('I', 'U', 'D')),
    event_id uuid NOT NULL,
    row jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_training_label_events_event ON training_label_events (event_id, id);
