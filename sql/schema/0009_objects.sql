-- What is known of objects in the store that collections build on.
CREATE TABLE training_objects (
    key varchar(255) PRIMARY KEY,
    wanted_at timestamptz NOT NULL,  -- when a collection last relied on it
    size bigint,
    etag varchar(255),
    hashed_at timestamptz,  -- when its bytes, of this size and ETag, were those that its name promises
    CHECK ((hashed_at IS NULL) = (size IS NULL) AND (hashed_at IS NULL) = (etag IS NULL))
);
