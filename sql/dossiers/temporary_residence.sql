-- What registers know for the extension of a temporary residence: one row per obligation.
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, identity_number, full_name, birth_date, permanent_residence__population, permanent_residence__population__as_of, registration_number, expires_on
with
due as (select * from obligations.temporary_residence),
people as (select * from staging.people),
residents as (select * from staging.residents),
stays as (select * from staging.temporary_residences)

select
    due.subject_id,
    due.object_id,
    due.period,
    people.subject_id as identity_number,
    people.full_name,
    people.birth_date,
    residents.permanent_residence as permanent_residence__population,
    residents.permanent_residence_confirmed_on as permanent_residence__population__as_of,
    stays.registration_number,
    stays.expires_on
from due
left join people on people.subject_id = due.subject_id
left join residents on residents.subject_id = due.subject_id
left join stays on stays.registration_number = due.object_id
