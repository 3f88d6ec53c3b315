-- One row per ended employment whose time for claiming unemployment benefit ends
-- inside the window.
--
-- The time is counted from the day on which the contract ended, by the law of that day,
-- and does not roll over a day of rest. A claim filed from that day on fulfils it.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, ended_on
-- rule:    unemployment_claim_term
with
employments as (select * from staging.ended_employments),
claims as (select * from staging.unemployment_benefits),
terms as (select * from law_versions.unemployment_claim_term),

claims_due as (
    select
        employments.subject_id,
        employments.employment_id,
        employments.ended_on,
        add_months(employments.ended_on, terms.value, 'clamp') as due_on,
        terms.rule_version
    from employments
    join terms on employments.ended_on between terms.in_force_from and terms.in_force_to
),

claims_in_window as (
    select * from claims_due
    where due_on between $since and $until
),

first_claims as (
    select
        claims_in_window.employment_id,
        min(claims.claimed_on) as claimed_on
    from claims_in_window
    join claims
        on claims.subject_id = claims_in_window.subject_id
        and claims.claimed_on >= claims_in_window.ended_on
    group by claims_in_window.employment_id
),

claims_to_file as (
    select
        claims_in_window.subject_id,
        claims_in_window.employment_id as object_id,
        cast(claims_in_window.ended_on as varchar) as period,
        claims_in_window.due_on,
        claims_in_window.rule_version,
        first_claims.claimed_on as fulfilled_on,
        claims_in_window.ended_on
    from claims_in_window
    left join first_claims on first_claims.employment_id = claims_in_window.employment_id
)

select * from claims_to_file
