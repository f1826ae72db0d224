INSERT INTO training_migrations (number, name, digest, outcome) VALUES (:number, :name, :digest, :outcome)
