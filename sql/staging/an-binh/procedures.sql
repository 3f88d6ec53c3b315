-- One row per procedure and unit that settles it.
--
-- grain:   unit_code, procedure_code
-- private:
select
    unit_code,
    procedure_code,
    online_level,
    can_be_full_online,
    statutory_days,
    has_fee,
    needs_result,
    is_for_people,
    proactive_level,
    proactive_level_allowed
from one_stop.procedures
