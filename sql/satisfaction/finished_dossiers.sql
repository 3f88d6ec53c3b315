-- One row per dossier that was finished in the months that are taken in tonight, with its person and its cell.
--
-- Answers are joined with it in memory, by number or by token, and it is forgotten: no later select reads it. $since
-- and $until are the first and the last day of these months.
--
-- grain:   dossier_id
-- private: dossier_id, subject_id, month
with

dossiers as (
    select * from staging.dossiers
    where finished_on between $since and $until
),

procedures as (
    select * from codes.procedures
)

select
    dossiers.dossier_id,
    dossiers.subject_id,
    to_char(dossiers.finished_on, '%Y-%m') as month,
    dossiers.commune_code,
    procedures.procedure_group
from dossiers
left join procedures on dossiers.procedure_code = procedures.procedure_code
