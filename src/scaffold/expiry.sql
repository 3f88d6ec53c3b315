-- TODO: say what a row is, and the law in a sentence or two, with its article.
--
-- It is due on the day on which the row ends, and may be done some days before. A later row of the same @WHO@ fulfils
-- it; when that was made is not known, so the night that sees it counts.
--
-- grain:   @GRAIN@
-- private: subject_id, object_id, period, due_on, fulfilled_on, @DATE@, opens_on
-- rule:    @ITEM@_term
with
documents as (@ROWS@),
term as (select * from law.@ITEM@_term),

-- TODO: does every row bind, and is it fulfilled by the next one? Otherwise say which, here.
renewed as (
    select
        documents.*,
        lead(@DATE@) over (partition by subject_id order by @DATE@) as next_on
    from documents
),

ends as (
    select
        renewed.subject_id,
        @OBJECT@ as object_id,
        cast(renewed.@DATE@ as varchar) as period,
        -- TODO: how the law counts: on the last day as here, or before it (before_day); a day of rest moves it (next_working_day) or not
        on_day(renewed.@DATE@) as due_on,
        term.rule_version,
        case when renewed.next_on is not null then $as_of end as fulfilled_on,
        renewed.@DATE@,
        renewed.@DATE@ - cast(term.value as int) as opens_on
    from renewed
    cross join term
)

select * from ends
where due_on between $since and $until
