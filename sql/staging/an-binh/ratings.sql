-- One row per satisfaction rating.
--
-- grain:   rating_id
-- private: rating_id, dossier_id, level, rated_on
select
    rating_id,
    dossier_number as dossier_id,
    level,
    rated_on
from one_stop.ratings
