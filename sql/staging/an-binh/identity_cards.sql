-- One row per identity card issued.
--
-- grain:   card_number
-- private: card_number, subject_id, issued_on
select
    card_number,
    citizen_id as subject_id,
    issued_on
from population.identity_cards
