-- What people were asked to review, and why: chosen as worth it, or drawn at random so that nothing but chance decides.

CREATE TABLE training_review_queues (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    as_of timestamptz NOT NULL,
    params jsonb NOT NULL,
    created_by varchar(255) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE training_review_queue_items (
    queue_id uuid NOT NULL REFERENCES training_review_queues (id),
    position integer NOT NULL,
    detection_id uuid NOT NULL,
    selected_for text NOT NULL CHECK (selected_for IN ('queue', 'random_audit')),
    score double precision NOT NULL,
    uncertainty double precision NOT NULL,
    disagreement double precision NOT NULL,
    rarity double precision NOT NULL,
    p_real double precision,
    model_score double precision,
    n_votes integer NOT NULL,
    class text,
    PRIMARY KEY (queue_id, position),
    UNIQUE (queue_id, detection_id)
);

CREATE INDEX ix_training_review_queue_items_detection ON training_review_queue_items (detection_id);
