-- What a newer version has applied. The table has a row a migration.
SELECT name FROM training_migrations WHERE NOT (number = ANY(CAST(:known AS integer[]))) ORDER BY number
