-- Ratings of dossiers that are not there: they are not counted.
--
-- severity: warn
with
ratings as (select * from staging.ratings),
dossiers as (select * from staging.dossiers)

select count(*) as ratings
from ratings
left join dossiers on dossiers.dossier_id = ratings.dossier_id
where dossiers.dossier_id is null
having count(*) > 0
