-- One row per one-stop office and quarter in which it was judged.
--
-- grain:   unit_code, quarter
-- private:
select
    unit_code,
    quarter,
    points
from one_stop.offices
