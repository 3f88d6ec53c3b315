-- One row per temporary residence that ends inside the notice window.
--
-- It is extended within the days before its end; a later registration of the
-- same person fulfils the obligation.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, expires_on, opens_on
-- rule:    temporary_residence_extension
with
residences as (select * from staging.temporary_residences),
extension as (select * from law.temporary_residence_extension),

newest_residences as (
    select subject_id, max(expires_on) as expires_on
    from residences
    group by subject_id
),

coming_ends as (
    select
        residences.subject_id,
        residences.registration_number as object_id,
        cast(residences.expires_on as varchar) as period,
        residences.expires_on as due_on,
        extension.rule_version,
        residences.expires_on,
        residences.expires_on - cast(extension.value as int) as opens_on
    from residences
    cross join extension
    join newest_residences
        on newest_residences.subject_id = residences.subject_id
        and newest_residences.expires_on = residences.expires_on
    where residences.expires_on between $as_of and $until
)

select * from coming_ends
