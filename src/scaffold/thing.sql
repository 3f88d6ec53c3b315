-- TODO: say what a row is, and the law in a sentence or two, with its article.
--
-- It is due again some months after @DATE@.
--
-- grain:   @GRAIN@
-- private: subject_id, object_id, period, due_on, fulfilled_on, @DATE@
-- rule:    @ITEM@_term
with
-- TODO: does every row bind? Otherwise say which, here.
things as (@ROWS@),
term as (select * from law.@ITEM@_term),

counted as (
    select
        things.subject_id,
        @OBJECT@ as object_id,
        cast(things.@DATE@ as varchar) as period,
        -- TODO: how the law counts: a month end clamps, rolls or errs; a day of rest moves it (next_working_day) or not
        add_months(things.@DATE@, term.value, 'clamp') as due_on,
        term.rule_version,
        -- TODO: @TABLE@ keeps the newest day alone, so that what is done is withdrawn and not fulfilled: join the table that has every such day, and give the next one here
        cast(null as date) as fulfilled_on,
        things.@DATE@
    from things
    cross join term
)

select * from counted
where due_on between $since and $until
