with

dossiers as (
    select
        commune_code,
        procedure_group,
        date_trunc('month', due_on) as month,
        1 as dossiers,
        case when finished_on <= due_on then 1 else 0 end as on_time,
        case when channel = 2 then 1 else 0 end as online,
        0 as rated,
        0 as satisfied
    from source.dossiers
),

ratings as (
    select
        dossiers.commune_code,
        dossiers.procedure_group,
        date_trunc('month', dossiers.finished_on) as month,
        0 as dossiers,
        0 as on_time,
        0 as online,
        1 as rated,
        case when ratings.is_satisfied then 1 else 0 end as satisfied
    from (select dossier_id, level >= 4 as is_satisfied from source.ratings) as ratings
    join source.dossiers as dossiers on ratings.dossier_id = dossiers.dossier_id
),

counted as (
    select * from dossiers
    union all
    select * from ratings
)

select
    commune_code,
    procedure_group,
    month,
    sum(dossiers) as dossiers,
    sum(on_time) as on_time,
    sum(online) as online,
    sum(rated) as rated,
    sum(satisfied) as satisfied
from counted
group by commune_code, procedure_group, month
