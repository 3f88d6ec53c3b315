-- The ratings that count in protected figures: how many of each level, by month and cell.
--
-- A rating counts in the month in which its dossier was finished, and in the commune that received it; no person
-- adds more than the policy's bound to a month. Who rated is not known here. A cell of which a code is in no public
-- list stays in, with a blank: bounding leaves it out and counts it, so that nothing disappears in silence. Answers
-- on three levels are counted apart, unless the pipeline says for which of five each stands.
--
-- grain:   month, commune_code, procedure_group, level
-- private: level, ratings
select
    month,
    commune_code,
    procedure_group,
    level,
    sum(ratings) as ratings
from staging.ratings
where question = 'overall'
    and scale = 5
    and is_counted
group by month, commune_code, procedure_group, level
