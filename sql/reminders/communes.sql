-- One row per person or business that has something due: the commune of each, for counting by commune.
--
-- grain:   subject_id, kind
-- private: subject_id, kind, commune_code
with
people as (select * from staging.people),
businesses as (select * from staging.businesses),
due as (select subject_id from obligations.due),

communes as (
    select people.subject_id, 'person' as kind, people.commune_code
    from due
    join people on people.subject_id = due.subject_id

    union all

    select businesses.subject_id, 'business' as kind, businesses.commune_code
    from due
    join businesses on businesses.subject_id = due.subject_id
)

select * from communes
