-- One row: the last days of which ratings and dossiers are known.
--
-- A month is closed when the sources speak of days up to its end: a drop that is
-- cut short, or a run for a day to come, must not freeze a month half told. Ratings are
-- taken in by whole months, and only as far as their source reaches.
--
-- grain:   none
-- private: ratings_until, dossiers_until
with
ratings as (select * from staging.ratings),
dossiers as (select * from staging.dossiers),

last_rating as (select last_day_of_month(cast(max(month) || '-01' as date)) as ratings_until from ratings),
last_dossier as (select max(received_on) as dossiers_until from dossiers)

select last_rating.ratings_until, last_dossier.dossiers_until
from last_rating
cross join last_dossier
