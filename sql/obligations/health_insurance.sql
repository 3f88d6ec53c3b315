-- One row per household health insurance card that ends inside the window.
--
-- Whoever pays before the end stays insured without a break; up to the end of the
-- gap, membership still counts as continuous. A later card fulfils the obligation;
-- the source does not say when it was paid, so the night that sees it counts.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, valid_to, gap_ends_on
-- rule:    health_insurance_gap
with
cards as (select * from staging.health_insurance_cards),
gap as (select * from law.health_insurance_gap),

newest_cards as (
    select subject_id, max(valid_to) as valid_to
    from cards
    group by subject_id
),

ends_in_window as (
    select
        cards.subject_id,
        cards.card_number as object_id,
        cast(cards.valid_to as varchar) as period,
        cards.valid_to as due_on,
        gap.rule_version,
        case when newest_cards.valid_to > cards.valid_to then $as_of end as fulfilled_on,
        cards.valid_to,
        cards.valid_to + cast(gap.value as int) as gap_ends_on
    from cards
    cross join gap
    join newest_cards on newest_cards.subject_id = cards.subject_id
    where cards.valid_to between $since and $until
)

select * from ends_in_window
