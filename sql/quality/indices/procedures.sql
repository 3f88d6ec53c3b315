-- What a unit offers, 1 or 0 for each procedure.
--
-- grain:   unit_code, procedure_code
-- private:
select
    unit_code,
    procedure_code,
    1 as offered,
    case when online_level in ('full', 'partial') then 1 else 0 end as offered_online,
    case when online_level = 'full' then 1 else 0 end as offered_full,
    case when can_be_full_online then 1 else 0 end as allowed_full,
    case when has_fee then 1 else 0 end as with_fee,
    case when is_for_people then 1 else 0 end as for_people,
    case when proactive_level >= 1 then 1 else 0 end as proactive_offered_1,
    case when proactive_level >= 2 then 1 else 0 end as proactive_offered_2,
    case when proactive_level >= 3 then 1 else 0 end as proactive_offered_3,
    case when proactive_level >= 4 then 1 else 0 end as proactive_offered_4,
    case when proactive_level_allowed >= 1 then 1 else 0 end as proactive_eligible_1,
    case when proactive_level_allowed >= 2 then 1 else 0 end as proactive_eligible_2,
    case when proactive_level_allowed >= 3 then 1 else 0 end as proactive_eligible_3,
    case when proactive_level_allowed >= 4 then 1 else 0 end as proactive_eligible_4
from staging.procedures
