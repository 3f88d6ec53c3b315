-- One row per dossier, with how the service was provided; whoever received it settles it.
--
-- grain:   dossier_id
-- private: dossier_id, contacts, agencies_contacted
select
    dossier_number as dossier_id,
    cast(null as varchar) as handled_by,
    is_synced,
    has_result_file,
    is_digitised,
    reuses_data,
    is_in_personal_store,
    uses_population_data,
    paid_online,
    is_automatic,
    proactive_level,
    contacts,
    agencies_contacted
from one_stop.services
