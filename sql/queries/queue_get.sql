SELECT id, as_of, params, created_by, created_at FROM training_review_queues WHERE id = :id
