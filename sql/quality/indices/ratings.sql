-- What is counted of the ratings of a unit in the period: by months, since no rating has a day.
--
-- A rating belongs to the month in which its dossier was finished and to the commune that received it; it is not
-- known which dossier that was. Only ratings with proof are counted, each of its dossier, within its person's bound
-- or not. Of three levels the first is dissatisfied, of five the first two: they are taken off the satisfied
-- dossiers, which are added up over tables.
--
-- grain:   unit_code
-- private: rated, rated_satisfied, rated_dissatisfied
with

ratings as (
    select
        *,
        cast(month || '-01' as date) as first_day
    from staging.ratings
    where question = 'overall'
        and proof <> 'none'
)

select
    commune_code as unit_code,
    sum(ratings) as rated,
    sum(case when level >= scale - 1 then ratings else 0 end) as rated_satisfied,
    sum(case when level <= (scale - 1) / 2 then ratings else 0 end) as rated_dissatisfied,
    -sum(case when level <= (scale - 1) / 2 then ratings else 0 end) as satisfied
from ratings
where first_day between $since and $until
group by commune_code
