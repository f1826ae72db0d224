INSERT INTO training_review_queue_items
    (queue_id, position, detection_id, selected_for, score, uncertainty, disagreement, rarity, p_real, model_score, n_votes, class)
VALUES
    (:queue_id, :position, :detection_id, :selected_for, :score, :uncertainty, :disagreement, :rarity, :p_real, :model_score, :n_votes, :class)
