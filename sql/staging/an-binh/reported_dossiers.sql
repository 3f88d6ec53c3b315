-- One row per unit and month: dossiers received, by two reports.
--
-- grain:   unit_code, month
-- private:
select
    unit_code,
    month,
    national_report,
    portal
from one_stop.reports
