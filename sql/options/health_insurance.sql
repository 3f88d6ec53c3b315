-- One row per household card that ends and way of renewing it: whether it is open to the person.
--
-- Whoever pays after the end is not insured in between: that way loses the right to cover without a gap.
--
-- grain:   subject_id, object_id, period, option_id
-- private: subject_id, object_id, period, is_eligible, reason
with
due as (select subject_id, object_id, period from obligations.health_insurance where fulfilled_on is null),
ways as (select option_id, via from codes.options where outcome = 'health_insurance'),
people as (select subject_id, birth_date from staging.people),

known as (
    select
        due.subject_id,
        due.object_id,
        due.period,
        coalesce(age_on(people.birth_date, $as_of) < 14, false) as is_child
    from due
    left join people on people.subject_id = due.subject_id
),

offered as (
    select
        known.subject_id,
        known.object_id,
        known.period,
        ways.option_id,
        case when ways.via = 'online' and known.is_child then 'under_14' end as reason,
        case when ways.option_id = 'later' then 'uninterrupted_cover' end as loses
    from known
    cross join ways
)

select
    subject_id,
    object_id,
    period,
    option_id,
    reason is null as is_eligible,
    reason,
    'standard' as fee_status,
    loses
from offered
