-- What registers know for the renewal of household health insurance: one row per obligation.
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, identity_number, full_name, birth_date, sex, residence__population, residence__population__as_of, card_number, valid_to
with
due as (select * from obligations.health_insurance),
people as (select * from staging.people),
residents as (select * from staging.residents),
cards as (select * from staging.health_insurance_cards)

select
    due.subject_id,
    due.object_id,
    due.period,
    people.subject_id as identity_number,
    people.full_name,
    people.birth_date,
    residents.sex,
    residents.residence as residence__population,
    residents.residence_confirmed_on as residence__population__as_of,
    cards.card_number,
    cards.valid_to
from due
left join people on people.subject_id = due.subject_id
left join residents on residents.subject_id = due.subject_id
left join cards on cards.card_number = due.object_id
