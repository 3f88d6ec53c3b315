-- One row per event that is taxed by itself and whose return is due inside the notice window.
--
-- The return is filed within days, counted from the day after the event; for a plot or house that has
-- its certificate, by the last day of the time for registering the change (Decree 252/2026/NĐ-CP,
-- Art. 10(1) and (8)). A day of rest moves the day to the next working day (Art. 3(7)). The law of the
-- day of the event counts.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, kind, occurred_on
-- rule:    per_occurrence_tax, real_estate_tax
with
events as (select * from staging.taxable_events),
days as (select * from law_versions.per_occurrence_tax),
real_estate_days as (select * from law_versions.real_estate_tax),

deadlines as (
    select
        events.*,
        days_from_day_after(events.occurred_on, days.value) as nominal_on,
        days.rule_version
    from events
    join days on events.occurred_on between days.in_force_from and days.in_force_to
    where events.kind <> 'real_estate'
    union all
    select
        events.*,
        days_from_day_after(events.occurred_on, real_estate_days.value) as nominal_on,
        real_estate_days.rule_version
    from events
    join real_estate_days
        on events.occurred_on between real_estate_days.in_force_from and real_estate_days.in_force_to
    where events.kind = 'real_estate'
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
    from deadlines
),

due_returns as (
    select
        subject_id,
        event_id as object_id,
        'once' as period,
        due_on,
        rule_version,
        filed_on as fulfilled_on,
        kind,
        occurred_on
    from rolled
    where due_on <= $until
)

select * from due_returns
