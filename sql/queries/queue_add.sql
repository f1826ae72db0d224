INSERT INTO training_review_queues (id, as_of, params, created_by)
VALUES (:id, :as_of, CAST(:params AS jsonb), :created_by)
