-- One row per temporary residence that ends inside the window.
--
-- It is extended within the days before its end; a later registration of the
-- same person fulfils the obligation. The source does not say when that was made,
-- so the night that sees it counts.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, expires_on, opens_on
-- rule:    temporary_residence_extension
with
residences as (select * from staging.temporary_residences),
extension as (select * from law.temporary_residence_extension),

newest_residences as (
    select subject_id, max(expires_on) as expires_on
    from residences
    group by subject_id
),

ends_in_window as (
    select
        residences.subject_id,
        residences.registration_number as object_id,
        cast(residences.expires_on as varchar) as period,
        residences.expires_on as due_on,
        extension.rule_version,
        case when newest_residences.expires_on > residences.expires_on then $as_of end as fulfilled_on,
        residences.expires_on,
        residences.expires_on - cast(extension.value as int) as opens_on
    from residences
    cross join extension
    join newest_residences on newest_residences.subject_id = residences.subject_id
    where residences.expires_on between $since and $until
)

select * from ends_in_window
