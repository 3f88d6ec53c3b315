-- One row per dossier of an administrative procedure.
--
-- grain:   dossier_id
-- private: dossier_id, subject_id, received_on, due_on, finished_on
select
    dossier_number as dossier_id,
    applicant_id as subject_id,
    procedure_code,
    commune_code,
    channel,
    status,
    received_on,
    due_on,
    finished_on
from one_stop.dossiers
