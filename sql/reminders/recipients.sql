-- One row per person or business that has something due: where and how to write to them.
--
-- Only those who are due are looked up: the engine knows that they are few. A
-- household business may bear the number of its owner: the kind tells them apart.
--
-- grain:   subject_id, kind
-- private: subject_id, kind, full_name, language, email, phone, is_deceased, is_closed, refuses_reminders
with
people as (select * from staging.people),
businesses as (select * from staging.businesses),
due as (select subject_id from obligations.due),

due_people as (
    select
        people.subject_id,
        'person' as kind,
        people.full_name,
        people.language,
        people.email,
        people.phone,
        people.is_deceased,
        false as is_closed,
        people.refuses_reminders
    from due
    join people on people.subject_id = due.subject_id
),

due_businesses as (
    select
        businesses.subject_id,
        'business' as kind,
        businesses.full_name,
        businesses.language,
        businesses.email,
        businesses.phone,
        false as is_deceased,
        businesses.is_closed,
        businesses.refuses_reminders
    from due
    join businesses on businesses.subject_id = due.subject_id
),

recipients as (
    select * from due_people
    union all
    select * from due_businesses
)

select * from recipients
