-- What registers know for a new ordinary passport: one row per obligation.
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, identity_number, full_name, birth_date, sex, permanent_residence__population, permanent_residence__population__as_of, old_passport_number, old_passport_issued_on
with
due as (select * from obligations.passport),
people as (select * from staging.people),
residents as (select * from staging.residents),
passports as (select * from staging.passports)

select
    due.subject_id,
    due.object_id,
    due.period,
    people.subject_id as identity_number,
    people.full_name,
    people.birth_date,
    residents.sex,
    residents.permanent_residence as permanent_residence__population,
    residents.permanent_residence_confirmed_on as permanent_residence__population__as_of,
    passports.passport_number as old_passport_number,
    passports.issued_on as old_passport_issued_on
from due
left join people on people.subject_id = due.subject_id
left join residents on residents.subject_id = due.subject_id
left join passports on passports.passport_number = due.object_id
