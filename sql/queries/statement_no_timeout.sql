-- A large table takes as long as it takes; until the transaction ends, or else the session.
SELECT set_config('statement_timeout', '0', :in_transaction)
