-- One row per request to supplement a dossier.
--
-- grain:   supplement_id
-- private: supplement_id, dossier_id, requested_on, completed_on
select
    supplement_id,
    dossier_number as dossier_id,
    requested_on,
    completed_on
from one_stop.supplements
