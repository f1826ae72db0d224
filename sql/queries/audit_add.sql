-- A row that stays: who did what. Time and role are PostgreSQL's own.
INSERT INTO training_audit (action, subject, by, detail)
VALUES (:action, :subject, :by, CAST(:detail AS jsonb))
