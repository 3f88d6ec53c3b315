-- Whether a unit announced and published its procedures in time and in full.
--
-- A procedure is announced in time when it was decided 20 working days (a ministry) or 5 (a province) before its
-- legal basis takes effect; it is published in time within 10 working days, or 5, of the decision. What is still
-- unpublished counts once its days are over. Whether it was published with all its components, and where, does
-- not depend on the period. One late or incomplete announcement makes the procedure late or incomplete.
--
-- grain:   unit_code, procedure_code
-- private:
with

publications as (
    select
        *,
        decided_on between $since and $until as is_in_period,
        case when is_of_ministry then 20 else 5 end as announce_days,
        case when is_of_ministry then 10 else 5 end as publish_days
    from staging.procedure_publications
    where decided_on <= $until
),

judged as (
    select
        unit_code,
        procedure_code,
        is_in_period,
        decided_on > add_working_days(takes_effect_on, -announce_days) as is_announced_late,
        published_on <= $until as is_published,
        coalesce(published_on, $until) > add_working_days(decided_on, publish_days) as is_published_late,
        published_on <= $until or $until > add_working_days(decided_on, publish_days) as was_to_be_published,
        has_all_components,
        case when is_posted then 1 else 0 end + case when is_electronic then 1 else 0 end as publicity
    from publications
)

select
    unit_code,
    procedure_code,
    sum(case when is_in_period then 1 else 0 end) as announced,
    sum(case when is_in_period and is_announced_late then 1 else 0 end) as announced_late,
    sum(case when is_in_period and was_to_be_published then 1 else 0 end) as to_publish,
    sum(case when is_in_period and was_to_be_published and is_published_late then 1 else 0 end) as published_late,
    sum(case when is_published then 1 else 0 end) as published,
    sum(case when is_published and not has_all_components then 1 else 0 end) as published_incomplete,
    min(publicity) as publicity_points,
    1 as publicity_known
from judged
group by unit_code, procedure_code
