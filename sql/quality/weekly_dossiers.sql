-- The dossiers that had a due day, with the week of their month in which it lies: days 1 to 7, 8 to 14, 15 to 21, the rest.
--
-- They are those of quality.dossiers, column by column, so that a week counts what its month does. Read only where the
-- privacy policy declares weekly increments.
--
-- grain:   record_id
-- private: record_id, subject_id, month, week, is_on_time, is_online
select
    handled.record_id,
    handled.subject_id,
    handled.month,
    least(cast((extract(day from dossiers.due_on) - 1) / 7 as bigint) + 1, 4) as week,
    handled.commune_code,
    handled.procedure_group,
    handled.is_on_time,
    handled.is_online
from quality.dossiers as handled
join staging.dossiers as dossiers on handled.record_id = dossiers.dossier_id
