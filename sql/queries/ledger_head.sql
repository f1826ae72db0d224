-- How much of the sky a policy has decided: changes whenever the ledger grows.
SELECT count(*) AS members FROM training_split_members WHERE policy = :policy
