-- One row per dossier of a procedure for which an option may have been recommended: by whom, when and by which way.
--
-- What was recommended to whom is in the ledger, under pseudonyms: the night joins the two, counts people, and
-- publishes counts alone.
--
-- grain:   dossier_id
-- private: dossier_id, subject_id, month, received_on, age_group
with

dossiers as (
    select * from staging.dossiers
),

people as (
    select subject_id, birth_date from staging.people
),

watched as (
    select distinct procedure_code from codes.options where procedure_code is not null
),

filed as (
    select dossiers.*
    from dossiers
    join watched on watched.procedure_code = dossiers.procedure_code
),

grouped as (
    select
        filed.dossier_id,
        filed.subject_id,
        to_char(filed.received_on, '%Y-%m') as month,
        filed.received_on,
        filed.commune_code,
        case
            when people.birth_date is null then 'unknown'
            when age_on(people.birth_date, filed.received_on) < 35 then 'under_35'
            when age_on(people.birth_date, filed.received_on) < 60 then '35_to_59'
            else 'from_60'
        end as age_group,
        filed.procedure_code,
        filed.channel
    from filed
    left join people on people.subject_id = filed.subject_id
)

select * from grouped
