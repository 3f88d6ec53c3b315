-- One row per payment of agricultural land-use tax that is due inside the notice window.
--
-- It is paid at once, or in two: half by a first day, the rest by a second (Decree 252/2026/NĐ-CP,
-- Art. 21(2)). A day of rest moves the day to the next working day (Art. 3(7)). Most households are
-- exempt; they have no bill.
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, plot_id, payment_kind, tax_year, nominal_on
-- rule:    agricultural_land_tax_first, agricultural_land_tax_second
with
bills as (select * from staging.land_tax_bills where tax = 'agricultural'),
years as (select * from calendar.years),
first_days as (select * from law_versions.agricultural_land_tax_first),
second_days as (select * from law_versions.agricultural_land_tax_second),

-- The law in force at the end of the tax year names the days of that year.
fixed_days as (
    select
        extract(year from years.last_day) as tax_year,
        false as is_second,
        make_date(extract(year from years.last_day), cast(first_days.key as int), first_days.value) as nominal_on,
        first_days.rule_version
    from years
    join first_days on years.last_day between first_days.in_force_from and first_days.in_force_to
    union all
    select
        extract(year from years.last_day) as tax_year,
        true as is_second,
        make_date(extract(year from years.last_day), cast(second_days.key as int), second_days.value) as nominal_on,
        second_days.rule_version
    from years
    join second_days on years.last_day between second_days.in_force_from and second_days.in_force_to
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
    from fixed_days
),

due_days as (
    select * from rolled
    where due_on <= $until
),

-- A plot that was billed again has two bills for one payment: it is done when one of them is paid.
due_payments as (
    select
        bills.subject_id,
        bills.plot_id as object_id,
        cast(bills.tax_year as varchar) || '-' || bills.payment_kind as period,
        due_days.due_on,
        due_days.rule_version,
        min(bills.paid_on) as fulfilled_on,
        bills.plot_id,
        bills.payment_kind,
        bills.tax_year,
        due_days.nominal_on
    from bills
    join due_days
        on due_days.tax_year = bills.tax_year
        and due_days.is_second = (bills.payment_kind = 'second_half')
    group by
        bills.subject_id,
        bills.plot_id,
        bills.payment_kind,
        bills.tax_year,
        due_days.nominal_on,
        due_days.due_on,
        due_days.rule_version
)

select * from due_payments
