-- One row per foreign worker's permit whose extension the employer applies for by a day of the window.
--
-- An extension is applied for between two days before the end of the permit; a permit that was extended as often
-- as the law allows is not extended again. A later permit of the same worker with the same employer, or an
-- application, fulfils the obligation; one that came before the first of these days is not of this period. The days are calendar days and do not move on a holiday; the agency
-- answers within working days.
--
-- grain:   object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, permit_number, expires_on, opens_on, answer_on
-- rule:    work_permit_extension, work_permit_extensions, work_permit_answer
with
permits as (select * from staging.work_permits),
days as (select * from law.work_permit_extension),
extensions as (select * from law.work_permit_extensions),
answers as (select * from law_versions.work_permit_answer),

extensions_due as (
    select
        permits.*,
        permits.expires_on - cast(latest.value as int) as due_on,
        latest.rule_version,
        permits.expires_on - cast(earliest.value as int) as opens_on
    from permits
    join extensions on permits.extensions < extensions.value
    join days as latest on latest.key = 'latest'
    join days as earliest on earliest.key = 'earliest'
    where permits.ended_on is null
),

extensions_in_window as (
    select * from extensions_due
    where due_on between $since and $until
),

-- A later permit that was given back since fulfils as well: its worker has left.
later_permits as (
    select extensions_in_window.permit_number, extensions_in_window.expires_on, min(later.issued_on) as issued_on
    from extensions_in_window
    join permits as later
        on later.subject_id = extensions_in_window.subject_id
        and later.worker_id = extensions_in_window.worker_id
        and later.expires_on > extensions_in_window.expires_on
    group by extensions_in_window.permit_number, extensions_in_window.expires_on
),

-- Whoever applies on the last day is answered by answer_on.
followed_up as (
    select
        extensions_in_window.subject_id,
        extensions_in_window.permit_number as object_id,
        cast(extensions_in_window.expires_on as varchar) as period,
        extensions_in_window.due_on,
        extensions_in_window.rule_version,
        least(
            case
                when extensions_in_window.extension_filed_on >= extensions_in_window.opens_on
                    then extensions_in_window.extension_filed_on
            end,
            later_permits.issued_on
        ) as fulfilled_on,
        extensions_in_window.permit_number,
        extensions_in_window.expires_on,
        extensions_in_window.opens_on,
        add_working_days(extensions_in_window.due_on, answers.value) as answer_on
    from extensions_in_window
    left join later_permits
        on later_permits.permit_number = extensions_in_window.permit_number
        and later_permits.expires_on = extensions_in_window.expires_on
    left join answers on extensions_in_window.due_on between answers.in_force_from and answers.in_force_to
)

select * from followed_up
