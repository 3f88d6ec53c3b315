-- One row per dossier filed by somebody who has something due: what is filed need not be reminded of.
--
-- Only those who are due are looked up. Which dossier settles which obligation is said by the item: its
-- procedure_code and its dossier_days.
--
-- grain:   dossier_id
-- private: dossier_id, subject_id, received_on
with
dossiers as (select * from staging.filed_dossiers),
due as (select subject_id from obligations.due),

filed as (
    select
        dossiers.dossier_id,
        dossiers.subject_id,
        dossiers.procedure_code,
        dossiers.status,
        dossiers.received_on
    from due
    join dossiers on dossiers.subject_id = due.subject_id
)

select * from filed
