-- One row per temporary residence to be extended and way of extending it: whether it is open to the person.
--
-- Of a person of whom no source tells the electronic identity, the portal is taken to be open; the way that needs
-- integrated documents is not. That a child's parent would have to go to the counter has no source: nothing is closed
-- by age.
--
-- grain:   subject_id, object_id, period, option_id
-- private: subject_id, object_id, period, is_eligible, reason, fee_status
with
due as (select subject_id, object_id, period from obligations.temporary_residence where fulfilled_on is null),
ways as (select option_id, via from codes.options where outcome = 'temporary_residence'),
identities as (select * from staging.electronic_identities),

known as (
    select
        due.subject_id,
        due.object_id,
        due.period,
        identities.level,
        (identities.level >= 2 and identities.documents >= 5) as is_integrated
    from due
    left join identities on identities.subject_id = due.subject_id
),

offered as (
    select
        known.subject_id,
        known.object_id,
        known.period,
        ways.option_id,
        case
            when ways.via = 'online' and known.level < 2 then 'no_level_2'
            when ways.option_id = 'vneid' and known.is_integrated is null then 'identity_unknown'
            when ways.option_id = 'vneid' and not known.is_integrated then 'not_integrated'
        end as reason,
        case when known.is_integrated then 'digital_citizen' else 'standard' end as fee_status
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
    fee_status,
    cast(null as varchar) as loses
from offered
