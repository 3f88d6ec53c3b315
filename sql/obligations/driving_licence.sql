-- One row per driving licence whose term ends inside the notice window.
--
-- Classes without a term (A1, A, B1) have no row in the rule and so no row here.
-- A newer licence of the same class fulfils the obligation.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, licence_class, issued_on
-- rule:    driving_licence_term
with
licences as (select * from staging.driving_licences),
terms as (select * from law.driving_licence_term),

newest_licences as (
    select subject_id, licence_class, max(issued_on) as issued_on
    from licences
    group by subject_id, licence_class
),

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
    join newest_licences
        on newest_licences.subject_id = licences.subject_id
        and newest_licences.licence_class = licences.licence_class
        and newest_licences.issued_on = licences.issued_on
),

coming_ends as (
    select * from ends
    where due_on between $as_of and $until
)

select * from coming_ends
