-- One row per person who has something due and wants to be reminded.
--
-- grain:   subject_id
-- private: subject_id, province, email, phone, language
with
people as (select * from staging.people),
due as (select distinct subject_id from obligations.due),

recipients as (
    select
        people.subject_id,
        people.province,
        people.email,
        people.phone,
        people.language
    from due
    join people on people.subject_id = due.subject_id
    where people.consents
)

select * from recipients
