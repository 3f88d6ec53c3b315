-- Supplements that were completed before they were asked for: whether their dossiers were on time is not known.
--
-- severity: hold
with
supplements as (select * from staging.dossier_supplements)

select count(*) as supplements
from supplements
where completed_on < requested_on
having count(*) > 0
