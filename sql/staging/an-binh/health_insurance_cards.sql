-- One row per household health insurance card.
--
-- grain:   card_number
-- private: card_number, subject_id, valid_to
select
    card_number,
    citizen_id as subject_id,
    valid_to
from insurance.household_cards
