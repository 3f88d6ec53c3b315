-- Dossier numbers that stand twice: a figure would count them twice.
--
-- severity: hold
with
dossiers as (select * from staging.dossiers)

select count(*) as repeated
from (
    select dossier_id
    from dossiers
    group by dossier_id
    having count(*) > 1
) as repeated_numbers
having count(*) > 0
