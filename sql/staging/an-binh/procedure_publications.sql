-- One row per announcement of a procedure, with its publication.
--
-- grain:   publication_id
-- private:
select
    publication_id,
    unit_code,
    procedure_code,
    is_of_ministry,
    decided_on,
    takes_effect_on,
    published_on,
    has_all_components,
    is_posted,
    is_electronic
from one_stop.publications
