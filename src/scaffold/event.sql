-- TODO: say what a row is, and the law in a sentence or two, with its article.
--
-- It is due some days after what happened on @DATE@.
--
-- grain:   @GRAIN@
-- private: subject_id, object_id, period, due_on, fulfilled_on, @DATE@
-- rule:    @ITEM@_term
with
-- TODO: does every row bind? Otherwise say which, here.
events as (@ROWS@),
term as (select * from law.@ITEM@_term),

counted as (
    select
        events.subject_id,
        @OBJECT@ as object_id,
        cast(events.@DATE@ as varchar) as period,
        -- TODO: how the law counts: from the day after as here (days_from_day_after, the Civil Code's rule), from the day itself (days_from_day), in months (add_months) or in working days (add_working_days); a day of rest moves it (next_working_day) or not
        days_from_day_after(events.@DATE@, term.value) as due_on,
        term.rule_version,
        @DONE@ as fulfilled_on,
        events.@DATE@
    from events
    cross join term
)

select * from counted
where due_on between $since and $until
