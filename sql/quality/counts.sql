-- How many dossiers were due in each month, by where, by what, and how they were handled: what exact tables are made of.
--
-- A dossier without a commune or a procedure group stands under a blank, which no public code list has.
--
-- grain:   month, commune_code, procedure_group, is_on_time, is_online
-- private: month, is_on_time, is_online
select
    month,
    commune_code,
    procedure_group,
    is_on_time,
    is_online,
    count(*) as dossiers
from quality.dossiers
group by month, commune_code, procedure_group, is_on_time, is_online
