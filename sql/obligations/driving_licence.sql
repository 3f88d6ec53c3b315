-- One row per driving licence whose term ends inside the window.
--
-- Classes without a term (A1, A, B1) have no row in the rule and so no row here.
-- A newer licence of the same class, of a former class any newer one for cars (Art. 89), fulfils it on the day of issue.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, licence_class, issued_on
-- rule:    driving_licence_term
with
licences as (select * from staging.driving_licences),
terms as (select * from law.driving_licence_term),

ends as (
    select
        licences.subject_id,
        licences.licence_number as object_id,
        cast(licences.issued_on as varchar) as period,
        add_months(licences.issued_on, terms.value, 'clamp') as due_on,
        terms.rule_version,
        licences.licence_class,
        licences.issued_on
    from licences
    join terms on terms.key = licences.licence_class
),

ends_in_window as (
    select * from ends
    where due_on between $since and $until
),

followed_up as (
    select
        ends_in_window.subject_id,
        ends_in_window.object_id,
        ends_in_window.period,
        ends_in_window.due_on,
        ends_in_window.rule_version,
        min(newer.issued_on) as fulfilled_on,
        ends_in_window.licence_class,
        ends_in_window.issued_on
    from ends_in_window
    left join licences as newer
        on newer.subject_id = ends_in_window.subject_id
        and newer.issued_on > ends_in_window.issued_on
        and (
            newer.licence_class = ends_in_window.licence_class
            or (
                ends_in_window.licence_class in ('B2', 'E', 'FB2', 'FC', 'FD', 'FE')
                and newer.licence_class in (
                    'B', 'C1', 'C', 'D1', 'D2', 'D', 'BE', 'C1E', 'CE', 'D1E', 'D2E', 'DE',
                    'B2', 'E', 'FB2', 'FC', 'FD', 'FE'
                )
            )
        )
    group by
        ends_in_window.subject_id,
        ends_in_window.object_id,
        ends_in_window.period,
        ends_in_window.due_on,
        ends_in_window.rule_version,
        ends_in_window.licence_class,
        ends_in_window.issued_on
)

select * from followed_up
