-- Petitions of the period: how many, of which class, handled in time, and to satisfaction.
--
-- A petition is rejected or passed on within 2 working days, more is asked for within 5, it is handled within 15,
-- and the answer is published within 2 of that. What has not happened by the end of the period is late when
-- its days are over. Nobody is satisfied by an answer that is late, asked for again, or disliked by more than like it.
--
-- grain:   unit_code, procedure_code
-- private:
with

petitions as (
    select
        *,
        case when declined_on <= $until then declined_on end as declined_by,
        case when handled_on <= $until then handled_on end as handled_by
    from staging.petitions
    where received_on between $since and $until
),

judged as (
    select
        *,
        case
            when declined_by is not null then declined_by <= add_working_days(received_on, 2)
            else coalesce(handled_by, $until) <= add_working_days(received_on, 15)
                and coalesce(supplement_requested_on <= add_working_days(received_on, 5), true)
                and (
                    handled_by is null
                    or (case when published_on <= $until then published_on else $until end) <= add_working_days(handled_by, 2)
                )
        end as is_on_time
    from petitions
)

select
    unit_code,
    procedure_code,
    count(*) as petitions,
    sum(case when is_about_staff then 0 else 1 end) as petitions_procedures,
    sum(case when is_about_staff then 1 else 0 end) as petitions_staff,
    sum(case when is_on_time then 1 else 0 end) as petitions_on_time,
    sum(case
        when is_on_time and not is_repeated and coalesce(dislikes, 0) <= coalesce(likes, 0) then 1 else 0
    end) as petitions_satisfied
from judged
group by unit_code, procedure_code
