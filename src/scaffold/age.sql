-- TODO: say what a row is, and the law in a sentence or two, with its article.
--
-- It is due on the day on which the @WHO@ reaches the age that the rule says.
--
-- grain:   @GRAIN@
-- private: subject_id, object_id, due_on, fulfilled_on, @DATE@
-- rule:    @ITEM@_term
with
-- TODO: does everybody in this table have to do it? Otherwise say who, here.
people as (@ROWS@),
term as (select * from law.@ITEM@_term),

reached as (
    select
        people.subject_id,
        @OBJECT@ as object_id,
        cast(term.value as varchar) as period,
        -- TODO: how the law counts: on the birthday as here, or from the day after it (days_from_day_after) or before it (before_day)
        add_months(people.@DATE@, term.value * 12, 'clamp') as due_on,
        term.rule_version,
        -- TODO: nothing in @TABLE@ says that it is done: join the table that does, and give its day here
        cast(null as date) as fulfilled_on,
        people.@DATE@
    from people
    cross join term
)

select * from reached
where due_on between $since and $until
