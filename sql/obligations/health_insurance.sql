-- One row per household health insurance card that ends inside the notice window.
--
-- Whoever pays before the end stays insured without a break; up to the end of the
-- gap, membership still counts as continuous. A later card fulfils the obligation.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, valid_to, gap_ends_on
-- rule:    health_insurance_gap
with
cards as (select * from staging.health_insurance_cards),
gap as (select * from law.health_insurance_gap),

newest_cards as (
    select subject_id, max(valid_to) as valid_to
    from cards
    group by subject_id
),

coming_ends as (
    select
        cards.subject_id,
        cards.card_number as object_id,
        cast(cards.valid_to as varchar) as period,
        cards.valid_to as due_on,
        gap.rule_version,
        cards.valid_to,
        cards.valid_to + cast(gap.value as int) as gap_ends_on
    from cards
    cross join gap
    join newest_cards
        on newest_cards.subject_id = cards.subject_id
        and newest_cards.valid_to = cards.valid_to
    where cards.valid_to between $as_of and $until
)

select * from coming_ends
