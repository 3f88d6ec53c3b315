-- One row per company of a foreign investor whose investment certificate is obtained by a day of the window.
--
-- Whoever founds the company before the investment is registered obtains the certificate within months of the
-- founding (Decree 96/2026, Art. 72), by the law of that day; whoever had it before the company owes nothing. The
-- certificate fulfils the obligation. The day does not move when it falls on a holiday: only tax deadlines do.
--
-- grain:   subject_id
-- private: subject_id, due_on, fulfilled_on, certificate_issued_on
-- rule:    investment_certificate_deadline
with
companies as (
    select * from staging.enterprise_registrations
    where is_foreign_invested
        and (investment_certificate_on is null or investment_certificate_on > certificate_issued_on)
),
deadline as (select * from law_versions.investment_certificate_deadline),

certificates as (
    select
        companies.subject_id,
        cast(null as varchar) as object_id,
        'investment-certificate' as period,
        add_months(companies.certificate_issued_on, deadline.value, 'clamp') as due_on,
        deadline.rule_version,
        companies.investment_certificate_on as fulfilled_on,
        companies.certificate_issued_on
    from companies
    join deadline on companies.certificate_issued_on between deadline.in_force_from and deadline.in_force_to
),

certificates_in_window as (
    select * from certificates
    where due_on between $since and $until
)

select * from certificates_in_window
