-- One row per person who has something due: where to write to, and whether they want it.
--
-- grain:   subject_id
-- private: subject_id, province, email, phone, language, consents
with
people as (select * from staging.people),
due as (select subject_id from obligations.due),

recipients as (
    select
        people.subject_id,
        people.province,
        people.email,
        people.phone,
        people.language,
        people.consents
    from due
    join people on people.subject_id = due.subject_id
)

select * from recipients
