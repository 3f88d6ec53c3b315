-- One row per satisfaction rating, with the person who gave it, its month and the cell it belongs to.
--
-- A rating counts in the month in which it was given, and in the commune that
-- received the dossier it is about. A rating whose dossier or procedure is
-- unknown stays in, with blanks: bounding leaves it out and counts it, so that
-- nothing disappears in silence.
--
-- grain:   record_id
-- private: record_id, subject_id, month, level
with

ratings as (
    select * from staging.ratings
),

dossiers as (
    select * from staging.dossiers
),

procedures as (
    select * from codes.procedures
),

ratings_of_dossiers as (
    select
        ratings.rating_id as record_id,
        dossiers.subject_id,
        to_char(ratings.rated_on, '%Y-%m') as month,
        dossiers.commune_code,
        procedures.procedure_group,
        ratings.level
    from ratings
    left join dossiers on ratings.dossier_id = dossiers.dossier_id
    left join procedures on dossiers.procedure_code = procedures.procedure_code
)

select * from ratings_of_dossiers
