-- One row per person who has something due: where and how to write to them.
--
-- Only those who are due are looked up: the engine knows that they are few.
--
-- grain:   subject_id
-- private: subject_id, full_name, language, email, is_deceased, refuses_reminders
with
people as (select * from staging.people),
due as (select distinct subject_id from obligations.due),

recipients as (
    select
        people.subject_id,
        people.full_name,
        people.language,
        people.email,
        people.is_deceased,
        people.refuses_reminders
    from due
    join people on people.subject_id = due.subject_id
)

select * from recipients
