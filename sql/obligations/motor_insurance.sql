-- One row per compulsory motor insurance contract that ends inside the window.
--
-- A contract runs as long as its certificate says, at most for the longest term; where
-- the register holds no end, only the least term is certain. A contract for the same
-- vehicle that ends later fulfils the obligation, whoever concluded it: the vehicle may be
-- sold. The insurer tells of the end where the law says so on the day on which it must.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, plate, insurer_tells_on
-- rule:    motor_insurance_term, motor_insurance_notice
with
contracts as (select * from staging.motor_insurance_contracts),
least_terms as (select * from law_versions.motor_insurance_term where key = 'least'),
longest_terms as (select * from law_versions.motor_insurance_term where key = 'most'),
notices as (select * from law_versions.motor_insurance_notice),

contract_ends as (
    select
        contracts.subject_id,
        contracts.contract_number,
        contracts.vehicle_id,
        contracts.starts_on,
        coalesce(contracts.concluded_on, contracts.starts_on) as concluded_on,
        least(
            coalesce(contracts.ends_on, add_months(contracts.starts_on, least_terms.value * 12, 'clamp')),
            add_months(contracts.starts_on, longest_terms.value * 12, 'clamp')
        ) as ends_on,
        least_terms.rule_version
    from contracts
    join least_terms on contracts.starts_on between least_terms.in_force_from and least_terms.in_force_to
    join longest_terms on contracts.starts_on between longest_terms.in_force_from and longest_terms.in_force_to
),

ends_in_window as (
    select * from contract_ends
    where ends_on between $since and $until
),

later_contracts as (
    select
        ends_in_window.contract_number,
        min(contract_ends.concluded_on) as concluded_on
    from ends_in_window
    join contract_ends
        on contract_ends.vehicle_id = ends_in_window.vehicle_id
        and contract_ends.ends_on > ends_in_window.ends_on
    group by ends_in_window.contract_number
),

contracts_due as (
    select
        ends_in_window.subject_id,
        ends_in_window.contract_number as object_id,
        cast(ends_in_window.starts_on as varchar) as period,
        ends_in_window.ends_on as due_on,
        ends_in_window.rule_version,
        later_contracts.concluded_on as fulfilled_on,
        ends_in_window.vehicle_id as plate,
        ends_in_window.ends_on - cast(notices.value as int) as insurer_tells_on
    from ends_in_window
    left join later_contracts on later_contracts.contract_number = ends_in_window.contract_number
    left join notices
        on ends_in_window.ends_on - cast(notices.value as int) between notices.in_force_from and notices.in_force_to
)

select * from contracts_due
