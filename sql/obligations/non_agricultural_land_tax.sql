-- One row per payment of non-agricultural land-use tax that is due inside the notice window.
--
-- The first year's tax is paid within days of the notice, from the second year on once a year by a
-- fixed day; the difference that an aggregated declaration shows is paid by a fixed day of the next
-- year (Decree 252/2026/NĐ-CP, Art. 16(2)b and 21(1)). A day of rest moves the day to the next working
-- day (Art. 3(7)).
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, plot_id, payment_kind, tax_year
-- rule:    land_tax_first_payment, land_tax_yearly_payment, land_tax_difference
with
bills as (select * from staging.land_tax_bills where tax = 'non_agricultural'),
years as (select * from calendar.years),
first_days as (select * from law_versions.land_tax_first_payment),
yearly_days as (select * from law_versions.land_tax_yearly_payment),
difference_days as (select * from law_versions.land_tax_difference),

-- A day of the tax year, or of the year after it, that the law in force at the end of the tax year names.
fixed_days as (
    select
        extract(year from years.last_day) as tax_year,
        'yearly' as payment_kind,
        make_date(extract(year from years.last_day), cast(yearly_days.key as int), yearly_days.value) as nominal_on,
        yearly_days.rule_version
    from years
    join yearly_days on years.last_day between yearly_days.in_force_from and yearly_days.in_force_to
    union all
    select
        extract(year from years.last_day) as tax_year,
        'difference' as payment_kind,
        make_date(
            extract(year from years.last_day) + 1, cast(difference_days.key as int), difference_days.value
        ) as nominal_on,
        difference_days.rule_version
    from years
    join difference_days on years.last_day between difference_days.in_force_from and difference_days.in_force_to
),

-- A plot that was billed again has two bills for one payment: it is done when one of them is paid, and
-- the newer notice gives the day.
billed as (
    select
        subject_id,
        plot_id,
        payment_kind,
        tax_year,
        max(notice_issued_on) as notice_issued_on,
        min(paid_on) as paid_on
    from bills
    group by subject_id, plot_id, payment_kind, tax_year
),

payments as (
    select billed.*, fixed_days.nominal_on, fixed_days.rule_version
    from billed
    join fixed_days on fixed_days.tax_year = billed.tax_year and fixed_days.payment_kind = billed.payment_kind
    union all
    select
        billed.*,
        days_from_day_after(billed.notice_issued_on, first_days.value) as nominal_on,
        first_days.rule_version
    from billed
    join first_days on billed.notice_issued_on between first_days.in_force_from and first_days.in_force_to
    where billed.payment_kind = 'first'
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
    from payments
),

due_payments as (
    select
        subject_id,
        plot_id as object_id,
        cast(tax_year as varchar) || '-' || payment_kind as period,
        due_on,
        rule_version,
        paid_on as fulfilled_on,
        plot_id,
        payment_kind,
        tax_year
    from rolled
    where due_on <= $until
)

select * from due_payments
