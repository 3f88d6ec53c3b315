-- One row per driving licence whose term ends inside the window; class A1 has no term.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on
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
        cast(null as date) as fulfilled_on
    from licences
    join terms on terms.key = licences.licence_class
)

select * from ends
where due_on between $since and $until
