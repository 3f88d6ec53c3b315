-- How many dossiers of a unit and a procedure were settled in so many working days: for the median and the like.
--
-- grain:   unit_code, procedure_code, working_days
-- private: working_days
select
    unit_code,
    procedure_code,
    days as working_days,
    count(*) as dossiers
from indices.settled
where is_settled
group by unit_code, procedure_code, days
