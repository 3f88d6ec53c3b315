-- What registers know for the exchange of a driving licence: one row per obligation.
--
-- Where two registers know the same, each has a column of its own: the person sees both.
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, identity_number, full_name__population, full_name__transport, birth_date__population, birth_date__transport, sex, residence__population, residence__population__as_of, licence_number, licence_class, licence_issued_on
with
due as (select * from obligations.driving_licence),
people as (select * from staging.people),
residents as (select * from staging.residents),
licences as (select * from staging.driving_licences),
holders as (select * from staging.licence_holders)

select
    due.subject_id,
    due.object_id,
    due.period,
    people.subject_id as identity_number,
    people.full_name as full_name__population,
    holders.full_name as full_name__transport,
    people.birth_date as birth_date__population,
    holders.birth_date as birth_date__transport,
    residents.sex,
    residents.residence as residence__population,
    residents.residence_confirmed_on as residence__population__as_of,
    licences.licence_number,
    licences.licence_class,
    licences.issued_on as licence_issued_on
from due
left join people on people.subject_id = due.subject_id
left join residents on residents.subject_id = due.subject_id
left join licences on licences.licence_number = due.object_id
left join holders on holders.licence_number = due.object_id
