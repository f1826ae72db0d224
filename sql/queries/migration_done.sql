-- By primary key.
SELECT name, digest, outcome FROM training_migrations WHERE number = :number
