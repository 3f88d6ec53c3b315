-- One row per GMP certificate of a maker of health-protection food whose renewal is applied for by a day of the window.
--
-- A certificate ends after its term; the application is filed some months before that. Which decree says so changed
-- three times in ten weeks of 2026: the rules tell it.
-- A certificate that was issued to the same premises later, or an application for renewal, fulfils the obligation.
-- The day is counted back in months and does not move when it falls on a holiday: only tax deadlines do.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, issued_on, expires_on
-- rule:    gmp_certificate_term, gmp_certificate_renewal
with
certificates as (
    select * from staging.food_certificates
    where kind = 'gmp'
),
term as (select * from law.gmp_certificate_term),
renewal as (select * from law.gmp_certificate_renewal),

ends as (
    select
        certificates.*,
        add_months(certificates.issued_on, term.value, 'clamp') as expires_on
    from certificates
    cross join term
),

renewals as (
    select
        ends.*,
        add_months(ends.expires_on, -renewal.value, 'clamp') as due_on,
        renewal.rule_version
    from ends
    cross join renewal
),

renewals_in_window as (
    select * from renewals
    where due_on between $since and $until
),

newer_certificates as (
    select renewals_in_window.certificate_number, min(newer.issued_on) as issued_on
    from renewals_in_window
    join certificates as newer
        on newer.premises_id = renewals_in_window.premises_id
        and newer.issued_on > renewals_in_window.issued_on
    group by renewals_in_window.certificate_number
),

followed_up as (
    select
        renewals_in_window.subject_id,
        renewals_in_window.certificate_number as object_id,
        cast(renewals_in_window.issued_on as varchar) as period,
        renewals_in_window.due_on,
        renewals_in_window.rule_version,
        least(renewals_in_window.renewal_filed_on, newer_certificates.issued_on) as fulfilled_on,
        renewals_in_window.issued_on,
        renewals_in_window.expires_on
    from renewals_in_window
    left join newer_certificates
        on newer_certificates.certificate_number = renewals_in_window.certificate_number
)

select * from followed_up
