-- One row per household card that ends and way of renewing it: every way is open to everybody, as a parent or guardian
-- pays for a child in any of them.
--
-- Whoever pays after the end is not insured in between: that way loses the right to cover without a gap.
--
-- grain:   subject_id, object_id, period, option_id
-- private: subject_id, object_id, period, is_eligible, reason
with
due as (select subject_id, object_id, period from obligations.health_insurance where fulfilled_on is null),
ways as (select option_id from codes.options where outcome = 'health_insurance')

select
    due.subject_id,
    due.object_id,
    due.period,
    ways.option_id,
    true as is_eligible,
    cast(null as varchar) as reason,
    'standard' as fee_status,
    case when ways.option_id = 'later' then 'uninterrupted_cover' end as loses
from due
cross join ways
