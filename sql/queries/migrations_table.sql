-- Our own version table; AstrID's alembic_version is neither read nor written.
CREATE TABLE IF NOT EXISTS training_migrations (
    number integer PRIMARY KEY,
    name varchar(255) NOT NULL,
    digest char(64) NOT NULL,
    outcome varchar(16) NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
