-- How the one-stop offices were judged: points, for as many quarters as touch the period.
--
-- grain:   unit_code
-- private:
select
    unit_code,
    sum(points) as one_stop_points,
    count(*) as one_stop_known
from staging.one_stop_offices
where quarter <= $until and add_months(quarter, 3, 'clamp') > $since
group by unit_code
