-- One row per passport that ends and way of having a new one: whether it is open to the person.
--
-- The passport of a child is asked for by a parent, at the counter. Of a person of whom no source tells the
-- electronic identity, the portal is taken to be open.
--
-- grain:   subject_id, object_id, period, option_id
-- private: subject_id, object_id, period, is_eligible, reason, fee_status
with
due as (select subject_id, object_id, period from obligations.passport where fulfilled_on is null),
ways as (select option_id, via from codes.options where outcome = 'passport'),
identities as (select * from staging.electronic_identities),
passports as (select passport_number, holder_birth_date from staging.passports),

known as (
    select
        due.subject_id,
        due.object_id,
        due.period,
        identities.level,
        coalesce(identities.level >= 2 and identities.documents >= 5, false) as is_integrated,
        coalesce(age_on(passports.holder_birth_date, $as_of) < 14, false) as is_child
    from due
    left join passports on passports.passport_number = due.object_id
    left join identities on identities.subject_id = due.subject_id
),

offered as (
    select
        known.subject_id,
        known.object_id,
        known.period,
        ways.option_id,
        case
            when ways.via = 'online' and known.is_child then 'under_14'
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
