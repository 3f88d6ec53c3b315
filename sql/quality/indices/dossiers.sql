-- What is counted of the dossiers of a unit and a procedure in the period.
--
-- Every column is a number that is summed over the rows of a unit; the decisions in pipelines/indices/ name
-- them. Points are those of the nine indices of Decree 61/2018, with the dossiers for which they are known.
--
-- grain:   unit_code, procedure_code
-- private: settled_days
with

settled as (
    select * from indices.settled
),

services as (
    select * from staging.dossier_services
),

procedures as (
    select * from staging.procedures
),

-- A dossier owes a fee where one of its fees is not 0.
fees as (
    select dossier_id, max(price_vnd) > 0 as is_due
    from staging.dossier_fees
    group by dossier_id
),

petitions as (
    select dossier_id, max(case when is_about_staff and not is_unfounded then 1 else 0 end) as is_about_staff
    from staging.petitions
    where dossier_id is not null and received_on <= $until
    group by dossier_id
),

-- A step is longer than its time where it was done after the day that it had.
steps as (
    select
        dossier_id,
        max(case when happened_on > due_on then 1 else 0 end) as is_late,
        min(case when happened_on < due_on then 1 else 0 end) as is_early
    from staging.dossier_steps
    where due_on is not null and happened_on <= $until
    group by dossier_id
),

joined as (
    select
        settled.*,
        coalesce(settled.channel = 2, false) as is_online,
        coalesce(procedures.needs_result, false) as needs_result,
        coalesce(procedures.online_level = 'full', false) as is_full_online,
        coalesce(services.has_result_file, false) as has_result_file,
        coalesce(services.is_synced, false) as is_synced,
        coalesce(services.is_digitised, false) as is_digitised,
        coalesce(services.reuses_data, false) as reuses_data,
        coalesce(services.is_in_personal_store, false) as is_in_personal_store,
        coalesce(services.uses_population_data, false) as uses_population_data,
        coalesce(services.is_automatic, false) as is_automatic,
        coalesce(services.paid_online in (1, 2), false) as is_paid_online,
        services.proactive_level,
        services.contacts,
        services.agencies_contacted,
        coalesce(fees.is_due, false) as is_fee_due,
        petitions.dossier_id is not null as has_petition,
        coalesce(petitions.is_about_staff, 0) = 1 as has_complaint,
        steps.is_late as is_step_late,
        steps.is_early as are_steps_early
    from settled
    left join services on settled.dossier_id = services.dossier_id
    left join procedures
        on settled.procedure_code = procedures.procedure_code and settled.unit_code = procedures.unit_code
    left join fees on settled.dossier_id = fees.dossier_id
    left join petitions on settled.dossier_id = petitions.dossier_id
    left join steps on settled.dossier_id = steps.dossier_id
)

select
    unit_code,
    procedure_code,
    count(*) as received,
    sum(case when has_term then 0 else 1 end) as without_term,
    sum(case when is_on_time then 1 else 0 end) as on_time,
    sum(case when is_settled then 1 else 0 end) as settled,
    sum(case when is_settled then days else 0 end) as settled_days,
    sum(case when is_online and (has_result_file or not needs_result) then 1 else 0 end) as online,
    sum(case when is_online and is_full_online then 1 else 0 end) as online_full,
    sum(case when is_online and not is_on_time then 1 else 0 end) as online_late,
    sum(case when is_synced then 1 else 0 end) as synced,
    sum(case when needs_result then 1 else 0 end) as result_due,
    sum(case when needs_result and has_result_file then 1 else 0 end) as result_electronic,
    sum(case when is_digitised then 1 else 0 end) as digitised,
    sum(case when reuses_data then 1 else 0 end) as reused,
    sum(case when is_in_personal_store then 1 else 0 end) as personal_store,
    sum(case when uses_population_data then 1 else 0 end) as population_data,
    sum(case when is_fee_due then 1 else 0 end) as fee_due,
    sum(case when is_fee_due and is_paid_online then 1 else 0 end) as paid_online,
    sum(case when is_on_time and not has_petition then 1 else 0 end) as satisfied,
    sum(case when is_automatic then 1 else 0 end) as automatic,
    sum(case when proactive_level = 1 then 1 else 0 end) as proactive_1,
    sum(case when proactive_level = 2 then 1 else 0 end) as proactive_2,
    sum(case when proactive_level = 3 then 1 else 0 end) as proactive_3,
    sum(case when proactive_level = 4 then 1 else 0 end) as proactive_4,
    sum(case when is_settled and has_term then 1 else 0 end) as time_known,
    sum(case when not is_settled or not is_on_time then 0 when days < allowed_days then 2 else 1 end) as time_points,
    sum(case when is_step_late is not null then 1 else 0 end) as unit_time_known,
    sum(case when is_step_late = 0 then 1 + are_steps_early else 0 end) as unit_time_points,
    sum(case when contacts is not null then 1 else 0 end) as contacts_known,
    sum(case contacts when 0 then 2 when 1 then 1 else 0 end) as contact_points,
    sum(case when agencies_contacted is not null then 1 else 0 end) as agencies_known,
    sum(case agencies_contacted when 0 then 2 when 1 then 1 else 0 end) as agency_points,
    sum(case when is_settled and has_term then 1 else 0 end) as attitude_known,
    sum(case when has_complaint or not is_settled or not is_on_time then 0 when is_early then 2 else 1 end) as attitude_points
from joined
group by unit_code, procedure_code
