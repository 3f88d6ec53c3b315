-- One row per passport that ends and way of having a new one: whether it is open to the person.
--
-- Of a person of whom no source tells the electronic identity, the portal is taken to be open. That a child's passport
-- would have to be asked for at the counter has no source: nothing is closed by age.
--
-- grain:   subject_id, object_id, period, option_id
-- private: subject_id, object_id, period, is_eligible, reason, fee_status
with
due as (select subject_id, object_id, period from obligations.passport where fulfilled_on is null),
ways as (select option_id, via from codes.options where outcome = 'passport'),
identities as (select * from staging.electronic_identities),

known as (
    select
        due.subject_id,
        due.object_id,
        due.period,
        identities.level,
        coalesce(identities.level >= 2 and identities.documents >= 5, false) as is_integrated
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
