-- One row per return, finalisation or revenue notice of a household business, or of a person who lets
-- property, that is due inside the notice window.
--
-- Since 2026 nobody pays a lump sum (Resolution 198/2025/QH15). Up to the threshold of the year a
-- household only notifies its revenue; above it, it files from the quarter in which it went over, by
-- quarter or, if large, by month (Decree 68/2026/NĐ-CP, Art. 8 to 10, as amended by Decree
-- 141/2026/NĐ-CP). The threshold is that of the tax year, as it was known on the night: the
-- amendment reaches back to 1 January. A day of rest moves the day to the next working day
-- (Decree 252/2026/NĐ-CP, Art. 3(7)).
--
-- grain:   object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, business_id, return_kind, period_ends_on, nominal_on
-- rule:    household_revenue_threshold, household_monthly_from, household_monthly_return, household_first_returns, household_quarterly_return, household_finalisation, household_revenue_notice, household_half_year_notice, rental_half_year_return, rental_yearly_return
with
businesses as (select * from staging.household_businesses),
tax_years as (select * from staging.household_tax_years),
revenues as (select * from staging.household_revenues),
returns as (select * from staging.tax_returns where tax = 'household'),
months as (select * from calendar.months),
quarters as (select * from calendar.quarters),
years as (
    select *, cast(extract(year from last_day) as bigint) as tax_year from calendar.years
),
thresholds as (select * from law_versions.household_revenue_threshold),
monthly_from as (select * from law_versions.household_monthly_from),
monthly_days as (select * from law_versions.household_monthly_return),
first_days as (select * from law_versions.household_first_returns),
quarterly_months as (select * from law_versions.household_quarterly_return),
finalisation_days as (select * from law_versions.household_finalisation),
notice_days as (select * from law_versions.household_revenue_notice),
half_year_notice_days as (select * from law_versions.household_half_year_notice),
rental_half_year_days as (select * from law_versions.rental_half_year_return),
rental_yearly_days as (select * from law_versions.rental_yearly_return),

-- The periods that end in something due, each by the law in force at the end of its tax year.
half_years as (
    select years.first_day, quarters.last_day, years.tax_year, years.last_day as year_ends_on
    from quarters
    join years on quarters.last_day between years.first_day and years.last_day
    where extract(quarter from quarters.last_day) = 2
),

month_returns as (
    select
        'month' as return_kind,
        months.first_day,
        months.last_day,
        cast(null as int) as quarter,
        years.tax_year,
        -- The first months of the new regime were due together.
        greatest(
            days_from_day_after(months.last_day, monthly_days.value),
            make_date(extract(year from months.last_day), cast(first_days.key as int), first_days.value)
        ) as nominal_on,
        coalesce(first_days.rule_version, monthly_days.rule_version) as rule_version
    from months
    join years on months.last_day between years.first_day and years.last_day
    join monthly_days on years.last_day between monthly_days.in_force_from and monthly_days.in_force_to
    left join first_days on months.last_day between first_days.in_force_from and first_days.in_force_to
),

quarter_returns as (
    select
        'quarter' as return_kind,
        quarters.first_day,
        quarters.last_day,
        cast(extract(quarter from quarters.last_day) as int) as quarter,
        years.tax_year,
        last_day_of_month(add_months(quarters.last_day, quarterly_months.value, 'clamp')) as nominal_on,
        quarterly_months.rule_version
    from quarters
    join years on quarters.last_day between years.first_day and years.last_day
    join quarterly_months on years.last_day between quarterly_months.in_force_from and quarterly_months.in_force_to
),

finalisations as (
    select
        'finalisation' as return_kind,
        years.first_day,
        years.last_day,
        cast(null as int) as quarter,
        years.tax_year,
        make_date(
            extract(year from years.last_day) + 1, cast(finalisation_days.key as int), finalisation_days.value
        ) as nominal_on,
        finalisation_days.rule_version
    from years
    join finalisation_days
        on years.last_day between finalisation_days.in_force_from and finalisation_days.in_force_to
),

year_notices as (
    select
        'year_notice' as return_kind,
        years.first_day,
        years.last_day,
        cast(null as int) as quarter,
        years.tax_year,
        make_date(
            extract(year from years.last_day) + 1, cast(notice_days.key as int), notice_days.value
        ) as nominal_on,
        notice_days.rule_version
    from years
    join notice_days on years.last_day between notice_days.in_force_from and notice_days.in_force_to
),

half_year_notices as (
    select
        'half_year_notice' as return_kind,
        half_years.first_day,
        half_years.last_day,
        cast(extract(quarter from half_years.last_day) as int) as quarter,
        half_years.tax_year,
        make_date(
            extract(year from half_years.last_day),
            cast(half_year_notice_days.key as int),
            half_year_notice_days.value
        ) as nominal_on,
        half_year_notice_days.rule_version
    from half_years
    join half_year_notice_days
        on half_years.year_ends_on between half_year_notice_days.in_force_from and half_year_notice_days.in_force_to
),

rental_half_years as (
    select
        'half_year' as return_kind,
        half_years.first_day,
        half_years.last_day,
        cast(extract(quarter from half_years.last_day) as int) as quarter,
        half_years.tax_year,
        make_date(
            extract(year from half_years.last_day),
            cast(rental_half_year_days.key as int),
            rental_half_year_days.value
        ) as nominal_on,
        rental_half_year_days.rule_version
    from half_years
    join rental_half_year_days
        on half_years.year_ends_on between rental_half_year_days.in_force_from and rental_half_year_days.in_force_to
),

rental_years as (
    select
        'year' as return_kind,
        years.first_day,
        years.last_day,
        cast(null as int) as quarter,
        years.tax_year,
        make_date(
            extract(year from years.last_day) + 1, cast(rental_yearly_days.key as int), rental_yearly_days.value
        ) as nominal_on,
        rental_yearly_days.rule_version
    from years
    join rental_yearly_days
        on years.last_day between rental_yearly_days.in_force_from and rental_yearly_days.in_force_to
),

periods as (
    select * from month_returns
    union all select * from quarter_returns
    union all select * from finalisations
    union all select * from year_notices
    union all select * from half_year_notices
    union all select * from rental_half_years
    union all select * from rental_years
),

-- Only a day that moves to $since or later is asked for its working day, and none after $until: a year
-- whose holidays are not known is no fault while nothing depends on it.
rolled as (
    select
        *,
        case
            when nominal_on > previous_working_day(before_day($since)) and nominal_on <= $until
                then next_working_day(nominal_on)
        end as due_on
    from periods
),

due_periods as (
    select * from rolled
    where due_on <= $until
),

due_years as (
    select * from years
    where tax_year in (select tax_year from due_periods)
),

-- How large each business is: above the threshold of the year by its own assessment, from the first
-- quarter, or by its revenue, from the quarter in which the total went over.
assessments as (
    select
        businesses.business_id,
        businesses.subject_id,
        businesses.lets_property,
        businesses.started_on,
        businesses.ended_on,
        due_years.tax_year,
        due_years.first_day as year_begins_on,
        (tax_years.assessed_revenue_vnd > thresholds.value) is true as is_assessed_above,
        (tax_years.assessed_revenue_vnd > monthly_from.value) is true as is_monthly,
        coalesce(tax_years.taxes_income, false) as taxes_income,
        tax_years.returns_a_year,
        thresholds.value as threshold_vnd
    from businesses
    cross join due_years
    join thresholds on due_years.last_day between thresholds.in_force_from and thresholds.in_force_to
    join monthly_from on due_years.last_day between monthly_from.in_force_from and monthly_from.in_force_to
    left join tax_years
        on tax_years.business_id = businesses.business_id and tax_years.tax_year = due_years.tax_year
),

totals as (
    select
        business_id,
        tax_year,
        quarter,
        sum(cast(revenue_vnd as decimal)) over (
            partition by business_id, tax_year order by quarter
        ) as total_vnd
    from revenues
    where tax_year in (select tax_year from due_years)
),

went_over as (
    select assessments.business_id, assessments.tax_year, min(totals.quarter) as quarter
    from assessments
    join totals
        on totals.business_id = assessments.business_id
        and totals.tax_year = assessments.tax_year
        and totals.total_vnd > assessments.threshold_vnd
    group by assessments.business_id, assessments.tax_year
),

sizes as (
    select
        assessments.*,
        went_over.quarter as went_over_in_quarter,
        assessments.is_assessed_above or went_over.quarter is not null as is_taxed
    from assessments
    left join went_over
        on went_over.business_id = assessments.business_id and went_over.tax_year = assessments.tax_year
),

-- Who owes what.
owed as (
    select
        sizes.subject_id,
        sizes.business_id,
        due_periods.return_kind,
        due_periods.last_day as period_ends_on,
        due_periods.tax_year,
        due_periods.quarter,
        due_periods.nominal_on,
        due_periods.due_on,
        due_periods.rule_version
    from sizes
    join due_periods on due_periods.tax_year = sizes.tax_year
    where (sizes.started_on is null or sizes.started_on <= due_periods.last_day)
        and (sizes.ended_on is null or sizes.ended_on >= due_periods.first_day)
        and case due_periods.return_kind
            when 'month' then not sizes.lets_property and sizes.is_monthly
            when 'quarter'
                then not sizes.lets_property
                    and not sizes.is_monthly
                    and (sizes.is_assessed_above or due_periods.quarter >= sizes.went_over_in_quarter)
            -- Who closed during the year, or the half-year, has other days, which are not computed here.
            when 'finalisation'
                then not sizes.lets_property
                    and sizes.taxes_income
                    and sizes.is_taxed
                    and (sizes.ended_on is null or sizes.ended_on >= due_periods.last_day)
            when 'year_notice'
                then not sizes.is_taxed
                    and (sizes.ended_on is null or sizes.ended_on >= due_periods.last_day)
            -- Only who began in the first half-year, and was not over the threshold by its end.
            when 'half_year_notice'
                then not sizes.lets_property
                    and sizes.started_on >= sizes.year_begins_on
                    and (sizes.ended_on is null or sizes.ended_on >= due_periods.last_day)
                    and not sizes.is_assessed_above
                    and (sizes.went_over_in_quarter is null or sizes.went_over_in_quarter > due_periods.quarter)
            when 'half_year'
                then sizes.lets_property
                    and sizes.returns_a_year = 2
                    and (sizes.is_assessed_above or due_periods.quarter >= sizes.went_over_in_quarter)
            when 'year' then sizes.lets_property and sizes.is_taxed
        end
),

filed as (
    select object_id, return_kind, period_ends_on, min(filed_on) as filed_on
    from returns
    group by object_id, return_kind, period_ends_on
),

due_returns as (
    select
        owed.subject_id,
        owed.business_id as object_id,
        case owed.return_kind
            when 'month' then substr(cast(owed.period_ends_on as varchar), 1, 7)
            when 'quarter' then cast(owed.tax_year as varchar) || '-Q' || cast(owed.quarter as varchar)
            else cast(owed.tax_year as varchar) || '-' || owed.return_kind
        end as period,
        owed.due_on,
        owed.rule_version,
        filed.filed_on as fulfilled_on,
        owed.business_id,
        owed.return_kind,
        owed.period_ends_on,
        owed.nominal_on
    from owed
    left join filed
        on filed.object_id = owed.business_id
        and filed.return_kind = owed.return_kind
        and filed.period_ends_on = owed.period_ends_on
)

select * from due_returns
