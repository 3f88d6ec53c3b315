-- How many dossiers of a procedure, a channel and a month took so many working days: for the median and the 90th percentile of
-- the ways that are compared in letters.
--
-- Counted are the dossiers that were received in the twelve months which ended two months ago, so that those that took
-- long are among them; one that is still open counts with the days it has waited so far. Refused (3), withdrawn (7)
-- and stopped (8) dossiers were not settled and show nothing. The month says which ways there were by then.
--
-- grain:   procedure_code, channel, received_month, working_days
-- private: received_month, working_days
with

dossiers as (
    select * from staging.dossiers
    where received_on between add_months($as_of, -14, 'clamp') and add_months($as_of, -2, 'clamp')
        and status not in (3, 7, 8)
),

timed as (
    select
        procedure_code,
        channel,
        to_char(received_on, '%Y-%m') as received_month,
        working_days_between(received_on, least(coalesce(finished_on, $as_of), $as_of)) as working_days
    from dossiers
)

select
    procedure_code,
    channel,
    received_month,
    working_days,
    count(*) as dossiers
from timed
group by procedure_code, channel, received_month, working_days
