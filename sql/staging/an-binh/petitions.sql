-- One row per petition or complaint about a procedure or its staff.
--
-- grain:   petition_id
-- private: petition_id, dossier_id, is_about_staff, is_unfounded, received_on, declined_on, supplement_requested_on, handled_on, published_on
select
    petition_id,
    unit_code,
    procedure_code,
    dossier_number as dossier_id,
    is_about_staff,
    is_unfounded,
    is_repeated,
    received_on,
    declined_on,
    supplement_requested_on,
    handled_on,
    published_on,
    likes,
    dislikes
from one_stop.petitions
