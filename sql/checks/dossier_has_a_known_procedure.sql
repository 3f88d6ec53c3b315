-- Dossiers of procedures that no group names: they are in no published figure.
--
-- severity: warn
with
dossiers as (select * from staging.dossiers),
procedures as (select * from codes.procedures)

select dossiers.procedure_code, count(*) as dossiers
from dossiers
left join procedures on procedures.procedure_code = dossiers.procedure_code
where procedures.procedure_code is null
group by dossiers.procedure_code
