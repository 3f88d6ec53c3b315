with

dossiers as (
    select
        commune_code,
        procedure_group,
        date_trunc('month', due_on) as month,
        count(*) as dossiers,
        sum(case when finished_on <= due_on then 1 else 0 end) as on_time,
        sum(case when channel = 2 then 1 else 0 end) as online
    from source.dossiers
    group by 1, 2, 3
),

ratings as (
    select
        dossiers.commune_code,
        dossiers.procedure_group,
        date_trunc('month', dossiers.finished_on) as month,
        count(*) as rated,
        sum(case when ratings.level >= 4 then 1 else 0 end) as satisfied
    from source.ratings as ratings
    join source.dossiers as dossiers on ratings.dossier_id = dossiers.dossier_id
    group by 1, 2, 3
)

select
    coalesce(dossiers.commune_code, ratings.commune_code) as commune_code,
    coalesce(dossiers.procedure_group, ratings.procedure_group) as procedure_group,
    coalesce(dossiers.month, ratings.month) as month,
    coalesce(dossiers.dossiers, 0) as dossiers,
    coalesce(dossiers.on_time, 0) as on_time,
    coalesce(dossiers.online, 0) as online,
    coalesce(ratings.rated, 0) as rated,
    coalesce(ratings.satisfied, 0) as satisfied
from dossiers
full join ratings
    on dossiers.commune_code = ratings.commune_code
    and dossiers.procedure_group = ratings.procedure_group
    and dossiers.month = ratings.month
