-- One row per young company whose charter capital is contributed, or registered anew, by a day of the window.
--
-- The capital is contributed within days of the enterprise certificate, by the law of that day; the day itself does
-- not count (Civil Code 2015, Art. 147(2)). When it was not contributed in full by then, the company registers the
-- capital that was, within further days of that last day. Legal forms without such a time have no row in the rule.
-- Neither day moves when it falls on a day off: only tax deadlines do.
--
-- grain:   subject_id, period
-- private: subject_id, due_on, fulfilled_on, is_reduction, certificate_issued_on, contribution_due_on
-- rule:    charter_capital_contribution, charter_capital_reduction
with
companies as (select * from staging.enterprise_registrations),
contribution as (select * from law_versions.charter_capital_contribution),
reduction as (select * from law_versions.charter_capital_reduction),

contributions as (
    select
        companies.*,
        days_from_day_after(companies.certificate_issued_on, contribution.value) as contribution_due_on,
        contribution.rule_version
    from companies
    join contribution
        on contribution.key = companies.legal_form
        and companies.certificate_issued_on between contribution.in_force_from and contribution.in_force_to
),

contributions_due as (
    select
        subject_id,
        'contribution' as period,
        contribution_due_on as due_on,
        rule_version,
        capital_contributed_on as fulfilled_on,
        false as is_reduction,
        certificate_issued_on,
        contribution_due_on
    from contributions
),

not_contributed_in_time as (
    select * from contributions
    where contribution_due_on < $as_of
        and (capital_contributed_on is null or capital_contributed_on > contribution_due_on)
),

-- The full capital, contributed late, leaves nothing to reduce.
reductions_due as (
    select
        companies.subject_id,
        'reduction' as period,
        days_from_day_after(companies.contribution_due_on, reduction.value) as due_on,
        reduction.rule_version,
        least(companies.capital_reduced_on, companies.capital_contributed_on) as fulfilled_on,
        true as is_reduction,
        companies.certificate_issued_on,
        companies.contribution_due_on
    from not_contributed_in_time as companies
    join reduction on companies.contribution_due_on between reduction.in_force_from and reduction.in_force_to
),

all_due as (
    select * from contributions_due
    union all
    select * from reductions_due
)

select
    subject_id,
    cast(null as varchar) as object_id,
    period,
    due_on,
    rule_version,
    fulfilled_on,
    is_reduction,
    certificate_issued_on,
    contribution_due_on
from all_due
where due_on between $since and $until
