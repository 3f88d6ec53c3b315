-- Dossiers received in the period as two reports count them, and in the year before.
--
-- grain:   unit_code
-- private:
with

reports as (
    select
        *,
        month between $since and $until as is_in_period,
        extract(year from month) = extract(year from $since) - 1 as is_of_last_year
    from staging.reported_dossiers
)

select
    unit_code,
    sum(case when is_in_period then coalesce(national_report, 0) else 0 end) as reported_national,
    sum(case when is_in_period then coalesce(portal, 0) else 0 end) as reported_portal,
    sum(case when is_of_last_year then greatest(coalesce(national_report, 0), coalesce(portal, 0)) else 0 end)
        as reported_last_year
from reports
group by unit_code
